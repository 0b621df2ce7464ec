"""tap-zendesk, in full and then incrementally: what it brings must be what the account truly holds."""

import json
import subprocess
from pathlib import Path

from account import Account

# What each stream's rows are compared by with the truth of the same id.
COMPARED = {
    "users": ("name", "email", "external_id", "active", "suspended", "tags", "organization_id", "updated_at"),
    "organizations": ("name", "external_id", "tags", "domain_names", "updated_at"),
    "tickets": ("status", "subject", "requester_id", "assignee_id", "tags", "priority", "updated_at"),
}

# What the simulated account has none of.
LACKING = {"macros", "sla_policies", "talk_phone_numbers"}


class Tap:
    """tap-zendesk with its files."""

    def __init__(self, account: Account, program: str, folder: Path):
        self.account, self.program, self.folder = account, program, folder
        self.state: dict = {}
        config = {"start_date": "2000-01-01T00:00:00Z", "subdomain": "acme", "access_token": account.about["oauth_token"]}
        self.write("config", config)
        catalog = json.loads(self.run("--discover"))
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                entry["metadata"]["selected"] = True
        self.streams = {stream["stream"] for stream in catalog["streams"]}
        self.write("catalog", catalog)

    def write(self, name: str, value: dict) -> Path:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(value))
        return path

    def run(self, *arguments: str) -> str:
        command = [self.program, "--config", str(self.folder / "config.json"), *arguments]
        done = subprocess.run(command, env=self.account.environment(), capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise SystemExit(f"tap-zendesk {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return done.stdout

    def sync(self) -> dict:
        """Rows by stream and id; the state is kept for the next time."""
        state = self.write("state", self.state)
        rows: dict = {}
        for line in self.run("--catalog", str(self.folder / "catalog.json"), "--state", str(state)).splitlines():
            message = json.loads(line)
            if message["type"] == "STATE":
                self.state = message["value"]
            elif message["type"] == "RECORD":
                record = message["record"]
                rows.setdefault(message["stream"], {})[record.get("id", record.get("name"))] = record
        return rows


def expect_truth(account: Account, rows: dict, moment: str) -> None:
    """Every row of the truth was brought, as it is now."""
    for stream, fields in COMPARED.items():
        truth = account.truth(stream)
        brought = rows.get(stream, {})
        wrong = [f"{stream} {key} was not brought" for key in truth if key not in brought]
        for key, row in truth.items():
            for field in fields:
                is_now, was_told = row.get(field), brought.get(key, {}).get(field)
                if key in brought and moment_of(is_now) != moment_of(was_told):
                    wrong.append(f"{stream} {key}: {field} is {is_now!r}, tap-zendesk has {was_told!r}")
        if wrong:
            raise SystemExit(f"after the {moment} sync {len(wrong)} differences, such as:\n" + "\n".join(wrong[:10]))


def moment_of(value: object) -> object:
    """A value to compare: the tap writes times with six fraction digits."""
    return value.replace(".000000Z", "Z") if isinstance(value, str) else value


def journey(account: Account, program: str, folder: Path) -> str:
    """Full sync, life, incremental sync."""
    folder.mkdir(parents=True, exist_ok=True)
    account.door("/advance", {"seconds": 120})
    tap = Tap(account, program, folder)
    full = tap.sync()
    expect_truth(account, full, "full")
    empty = [stream for stream in tap.streams - LACKING if not full.get(stream)]
    if empty:
        raise SystemExit(f"tap-zendesk found nothing in {', '.join(sorted(empty))}")
    account.door("/advance", {"seconds": 7200, "life": 150, "wait": True})
    account.door("/advance", {"seconds": 120})
    more = tap.sync()
    size = {name: len(rows) for name, rows in full.items()}
    new = {name: len(rows) for name, rows in more.items()}
    if not new.get("tickets", 0) < size["tickets"] or not new.get("users", 0) < size["users"]:
        raise SystemExit(f"the incremental sync brought everything again: {new}")
    for stream, rows in more.items():
        full.setdefault(stream, {}).update(rows)
    expect_truth(account, full, "incremental")
    return f"tap-zendesk: {sum(size.values())} rows of {len(size)} streams in full, then {sum(new.values())} rows of {len(new)}"
