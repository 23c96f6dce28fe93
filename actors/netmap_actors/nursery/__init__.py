"""The process that has loaded the actors and forks one on order, and the orders to it."""
