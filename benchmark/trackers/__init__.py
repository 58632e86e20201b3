"""The trackers that come with the package; each imports its library when it is made."""
