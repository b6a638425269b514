"""The shipped scenarios, addressed as `library:NAME`; each is one YAML file beside this one."""
