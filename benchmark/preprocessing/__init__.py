"""From grey levels to what a network is fed: standardisation, resizing, windowing. Pure."""
