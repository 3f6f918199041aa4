"""What a create body is refused for, in Docker's order and words; a module a family of options.

Checks are pure: they look at the body, at ``HostFacts`` and at names of other containers, and change nothing but what this
kernel cannot do, which is discarded with a warning as Docker does.
"""
