"""Who the stations of a fleet are and what is written about them: files, groups, templates, identities."""
