"""Every command that there is: where it lives and what it is called.

``COMMANDS`` maps a command's whole name to its module under ``cli/commands``, its key in that module's ``COMMANDS``, and one
line for the help. ``SHORT`` are docker's old words at the top level, ``ALIASES`` second names inside a group. One line each, so
that two people adding commands do not meet.
"""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str, str]] = {
    "builder prune": ("system_prune", "builder prune", "Remove build cache"),
    "completion bash": ("completion", "bash", "Generate the autocompletion script for bash"),
    "completion fish": ("completion", "fish", "Generate the autocompletion script for fish"),
    "completion zsh": ("completion", "zsh", "Generate the autocompletion script for zsh"),
    "container attach": (
        "exec_",
        "attach",
        "Attach local standard input, output, and error streams to a running container",
    ),
    "container commit": ("container_files", "commit", "Create a new image from a container's changes"),
    "container cp": ("cp", "cp", "Copy files/folders between a container and the local filesystem"),
    "container create": ("run", "create", "Create a new container"),
    "container diff": (
        "container_files",
        "diff",
        "Inspect changes to files or directories on a container's filesystem",
    ),
    "container exec": ("exec_", "exec", "Execute a command in a running container"),
    "container export": ("container_files", "export", "Export a container's filesystem as a tar archive"),
    "container inspect": ("inspect", "inspect container", "Display detailed information on one or more containers"),
    "container kill": ("lifecycle", "kill", "Kill one or more running containers"),
    "container logs": ("logs", "logs", "Fetch the logs of a container"),
    "container ls": ("ps", "ps", "List containers"),
    "container pause": ("lifecycle", "pause", "Pause all processes within one or more containers"),
    "container port": ("lifecycle", "port", "List port mappings or a specific mapping for the container"),
    "container prune": ("lifecycle", "container prune", "Remove all stopped containers"),
    "container rename": ("lifecycle", "rename", "Rename a container"),
    "container restart": ("lifecycle", "restart", "Restart one or more containers"),
    "container rm": ("lifecycle", "rm", "Remove one or more containers"),
    "container run": ("run", "run", "Create and run a new container from an image"),
    "container start": ("lifecycle", "start", "Start one or more stopped containers"),
    "container stats": ("stats", "stats", "Display a live stream of container(s) resource usage statistics"),
    "container stop": ("lifecycle", "stop", "Stop one or more running containers"),
    "container top": ("lifecycle", "top", "Display the running processes of a container"),
    "container unpause": ("lifecycle", "unpause", "Unpause all processes within one or more containers"),
    "container update": ("lifecycle", "update", "Update configuration of one or more containers"),
    "container wait": ("lifecycle", "wait", "Block until one or more containers stop, then print their exit codes"),
    "context create": ("context", "create", "Create a context"),
    "context export": ("context", "export", "Export a context to a tar archive FILE or a tar stream on STDOUT."),
    "context import": ("context", "import", "Import a context from a tar or zip file"),
    "context inspect": ("context", "inspect", "Display detailed information on one or more contexts"),
    "context ls": ("context", "ls", "List contexts"),
    "context rm": ("context", "rm", "Remove one or more contexts"),
    "context show": ("context", "show", "Print the name of the current context"),
    "context update": ("context", "update", "Update a context"),
    "context use": ("context", "use", "Set the current docker context"),
    "image bootstrap": ("image_bootstrap", "image bootstrap", "Make a base image from a distribution's package mirror"),
    "image history": ("image_list", "history", "Show the history of an image"),
    "image import": ("image_archives", "import", "Import the contents from a tarball to create a filesystem image"),
    "image inspect": ("inspect", "inspect image", "Display detailed information on one or more images"),
    "image load": ("image_archives", "load", "Load an image from a tar archive or STDIN"),
    "image ls": ("image_list", "images", "List images"),
    "image prune": ("image_remove", "image prune", "Remove unused images"),
    "image pull": ("transfer", "pull", "Download an image from a registry"),
    "image push": ("transfer", "push", "Upload an image to a registry"),
    "image rm": ("image_remove", "rmi", "Remove one or more images"),
    "image save": (
        "image_archives",
        "save",
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
    ),
    "image tag": ("images", "tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
    "imagetools catalog": ("registries", "imagetools catalog", "List the repositories of a registry"),
    "imagetools inspect": ("registries", "imagetools inspect", "Show details of an image in the registry"),
    "imagetools referrers": ("registries", "imagetools referrers", "List what refers to an image in the registry"),
    "imagetools tags": ("registries", "imagetools tags", "List the tags of a repository in the registry"),
    "inspect": ("inspect", "inspect", "Return low-level information on objects"),
    "login": ("registries", "login", "Authenticate to a registry"),
    "logout": ("registries", "logout", "Log out from a registry"),
    "manifest annotate": ("manifest", "annotate", "Add additional information to a local image manifest"),
    "manifest create": ("manifest", "create", "Create a local manifest list for annotating and pushing to a registry"),
    "manifest inspect": ("manifest", "inspect", "Display an image manifest, or manifest list"),
    "manifest push": ("manifest", "push", "Push a manifest list to a repository"),
    "manifest rm": ("manifest", "rm", "Delete one or more manifest lists from local storage"),
    "network connect": ("network", "network connect", "Connect a container to a network"),
    "network create": ("network", "network create", "Create a network"),
    "network disconnect": ("network", "network disconnect", "Disconnect a container from a network"),
    "network inspect": ("inspect", "inspect network", "Display detailed information on one or more networks"),
    "network ls": ("network", "network ls", "List networks"),
    "network prune": ("network", "network prune", "Remove all unused networks"),
    "network rm": ("network", "network rm", "Remove one or more networks"),
    "search": ("registries", "search", "Search Docker Hub for images"),
    "system df": ("system_df", "system df", "Show disk usage"),
    "system dial-stdio": ("system", "system dial-stdio", "Proxy the stdio stream to the daemon connection"),
    "system events": ("system", "events", "Get real time events from the server"),
    "system info": ("info", "info", "Display system-wide information"),
    "system prune": ("system_prune", "system prune", "Remove unused data"),
    "system verify": ("system_verify", "system verify", "Check the image store, and put it right"),
    "version": ("system", "version", "Show the Berth version information"),
    "volume create": ("volume", "volume create", "Create a volume"),
    "volume inspect": ("inspect", "inspect volume", "Display detailed information on one or more volumes"),
    "volume ls": ("volume", "volume ls", "List volumes"),
    "volume prune": ("volume", "volume prune", "Remove unused local volumes"),
    "volume rm": ("volume", "volume rm", "Remove one or more volumes"),
}

SHORT: dict[str, str] = {
    "attach": "container attach",
    "commit": "container commit",
    "cp": "container cp",
    "create": "container create",
    "diff": "container diff",
    "events": "system events",
    "exec": "container exec",
    "export": "container export",
    "history": "image history",
    "images": "image ls",
    "import": "image import",
    "info": "system info",
    "kill": "container kill",
    "load": "image load",
    "logs": "container logs",
    "pause": "container pause",
    "port": "container port",
    "ps": "container ls",
    "pull": "image pull",
    "push": "image push",
    "rename": "container rename",
    "restart": "container restart",
    "rm": "container rm",
    "rmi": "image rm",
    "run": "container run",
    "save": "image save",
    "start": "container start",
    "stats": "container stats",
    "stop": "container stop",
    "tag": "image tag",
    "top": "container top",
    "unpause": "container unpause",
    "update": "container update",
    "wait": "container wait",
}

ALIASES: dict[str, str] = {
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "context list": "context ls",
    "context remove": "context rm",
    "image list": "image ls",
    "image remove": "image rm",
    "network list": "network ls",
    "network remove": "network rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}

GROUPS: dict[str, str] = {
    "builder": "Manage builds",
    "completion": "Generate the autocompletion script for the specified shell",
    "container": "Manage containers",
    "context": "Manage contexts",
    "image": "Manage images",
    "imagetools": "Look at images in registries",
    "manifest": "Manage Docker image manifests and manifest lists",
    "network": "Manage networks",
    "system": "Manage Berth",
    "volume": "Manage volumes",
}

COMMON = ("run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version", "info")
"""What most people want, first in the help, in docker's order; those that exist are shown."""
LOCAL = frozenset({"login", "logout"})
LOCAL_GROUPS = ("completion ", "context ")
"""Commands that need no engine, or not at once: none is asked before they are loaded."""
_SWARM = "this engine is in no swarm and cannot join one"
LATER: dict[str, str] = {
    "build": "images are built by other tools: build elsewhere, then pull or load the image",
    "buildx": "install the docker-buildx plugin, or build elsewhere and load the image",
    "checkpoint": "containers cannot be frozen to disk; pause keeps one in memory",
    "compose": "install the docker-compose plugin: it works with this engine",
    "plugin": "drivers for volumes, networks and logs are part of the engine",
    "trust": "signatures of images are not checked by this client",
    **dict.fromkeys(("config", "node", "secret", "service", "stack", "swarm"), _SWARM),
}
"""Docker's commands that are not here, unless a plugin brings them, and what to do instead."""
HIDDEN = frozenset({"system dial-stdio"})


def find(name: str) -> str | None:
    """The whole name of a command by any of its names ("ps", "container list"); None when there is none."""
    if name in COMMANDS:
        return name
    return SHORT.get(name) or ALIASES.get(name)


def names_of(command: str) -> list[str]:
    """Every name of a command, its whole one first, as the help lists them."""
    other = [alias for alias, target in ALIASES.items() if target == command]
    short = [word for word, target in SHORT.items() if target == command]
    return [command, *other, *short]


def verbs(group: str) -> dict[str, str]:
    """A group's commands → their line, hidden ones left out."""
    head = group + " "
    return {
        name.removeprefix(head): entry[2]
        for name, entry in sorted(COMMANDS.items())
        if name.startswith(head) and name not in HIDDEN
    }
