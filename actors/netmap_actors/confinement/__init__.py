"""What a process of the run may do, and how it gives up the rest: one table, Landlock, seccomp, capabilities, limits.

`permissions` is the table, `confinement` the order of the steps. Both packages use it: children, Supervisor and view.
"""
