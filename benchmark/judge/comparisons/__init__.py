"""Tables that set runs beside each other: measures, precisions, splits, arms, other tools. Pure."""
