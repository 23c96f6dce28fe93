"""Click parameters that several commands share: flags of options, types of values."""
