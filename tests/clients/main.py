"""Lets other people's clients loose on the simulated Zendesk. Run by script/clients, in namespaces of its own."""

import subprocess
import sys
from pathlib import Path

import tap
from account import Account, enter


def node(account: Account, folder: Path) -> str:
    """node-zendesk reads, writes and waits for jobs."""
    script = Path(__file__).with_name("node_zendesk.cjs")
    environment = account.environment() | {"NODE_PATH": str(folder / "node" / "node_modules")}
    given = [account.about[name] for name in ("subdomain", "admin_email", "api_token")]
    done = subprocess.run(["node", str(script), *given], env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise SystemExit(f"node-zendesk ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return done.stdout.strip()


def main(program: str, folder: Path) -> None:
    """Each client with an account of its own."""
    enter(folder)
    people = ["--users", "300", "--tickets", "250", "--seed", "7"]
    with Account(program, folder / "tap", *people, "--clock", "driven", "--limits", "off") as account:
        print(tap.journey(account, str(folder / "python" / "bin" / "tap-zendesk"), folder / "tap"))
    with Account(program, folder / "node-zendesk", *people, "--clock", "scaled:20") as account:
        print(node(account, folder))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
