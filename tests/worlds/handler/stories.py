"""Stories of one VM, told with the simulated handler and with the real one: each returns what was seen.

`test_handler_stories.py` compares what was seen with what is written here beside each story.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.worlds.guest.conftest import KEY, NONCE

from microseg.scripts import LINUX, parse_result
from microseg.scripts.azure_handler import explain_end, known_words

from .machine import NOTHING, Machine, View, began, ended, is_alive, until

Seen = tuple[object, ...]
BASH = "#!/bin/bash\n"
WAITS = (
    f"{BASH}echo so far; sleep 300 & echo $$ $! >/tmp/pids; touch /tmp/began\n"
    "until [ -e /tmp/go ]; do sleep 0.05; done; echo end"
)


@dataclass(frozen=True, slots=True)
class Story:
    """What happens, and what is seen of it."""

    tell: Callable[[Machine], Awaitable[Seen]]
    seen: Seen

    @property
    def name(self) -> str:
        """The function's name."""
        return self.tell.__name__


async def ran(vm: Machine, script: str, **given: object) -> View:
    """Run one script to its end."""
    await vm.put("one", script, **given)  # type: ignore[arg-type]
    return await ended(vm, "one")


def pids(vm: Machine) -> tuple[int, int]:
    """The script's own process and its child."""
    own, child = (vm.folder / "tmp" / "pids").read_text().split()
    return int(own), int(child)


def alive(vm: Machine) -> tuple[bool, bool]:
    """Whether the script's own process and its child run."""
    own, child = pids(vm)
    return is_alive(own), is_alive(child)


def words(view: View) -> tuple[str, str, int]:
    """State, message and code."""
    return view.state, view.message, view.code


def told(view: View) -> str:
    """What the operator makes of an end, whoever's words it reads."""
    return explain_end(view.code, known_words(view.message, view.error))


async def a_script_succeeds(vm: Machine) -> Seen:
    return (await ran(vm, f"{BASH}echo out; echo err >&2"),)


async def a_script_fails(vm: Machine) -> Seen:
    return (await ran(vm, f"{BASH}echo out; exit 3"),)


async def parameters_reach_the_script(vm: Machine) -> Seen:
    view = await ran(
        vm,
        f'{BASH}printf \'%s|\' "$A" "$B" "${{C-unset}}" "$D"; printf \'<%s>\' "$@"; env | grep -c \'^E\'',
        parameters=[("A", "public"), ("B", "kept"), ("C", ""), ("E=F", "x"), ("", "a b"), ("", "$((1+1))")],
        protected=[("A", "1 '2' \"3\" $(id) `id` = ü\nline"), ("B", ""), ("D", "d")],
    )
    return (view.output,)


async def a_script_starts_in_this_environment(vm: Machine) -> Seen:
    script = (
        f"{BASH}pwd; umask; readlink /proc/self/fd/0; echo ${{HOME-unset}} ${{USER-unset}} $0\n"
        "sed -n 's/^SigIgn:.*\\(...\\)$/\\1/p' /proc/self/status | cut -c3; id -u\n"
        "trap 'echo never' HUP INT; kill -HUP $$; kill -INT $$; echo alive\n"
        "stat -c '%a %U' $0; echo $ConfigExtensionName $ConfigSequenceNumber\n"
    )
    return ((await ran(vm, script)).output.splitlines(),)


async def the_shebang_counts_and_nothing_is_repaired(vm: Machine) -> Seen:
    seen = []
    for number, script in enumerate(
        (
            "#!/bin/sh\nreadlink /proc/$$/exe | grep -c bash",
            "#!/no/such\n",
            f"{BASH[:-1]}\r\necho hi\r\n",
            f"\ufeff{BASH}exit 4\n",
        )
    ):
        await vm.put(f"s{number}", script)
        view = await ended(vm, f"s{number}")
        seen.append((view.code, view.error.partition(": ")[0].rpartition("/")[2]))
    return tuple(seen)


async def only_the_last_4096_bytes_are_reported(vm: Machine) -> Seen:
    view = await ran(vm, f"{BASH}seq 1 9999; printf '\\xe2\\x82x\\xff\\xed\\xa0\\x80\\u00e9' >&2; exit 1")
    return len(view.output), view.output[-10:], view.error


async def a_cut_through_a_character_shows_its_bytes(vm: Machine) -> Seen:
    view = await ran(vm, f"{BASH}printf '\\u20ac%.0s' {{1..2000}}; printf xx")
    return len(view.output), view.output[:3]


async def output_so_far_is_reported_every_15_s(vm: Machine) -> Seen:
    await vm.put("one", WAITS)
    await until(lambda: bool(vm.view("one").output), "output so far")
    view = vm.view("one")
    (vm.folder / "tmp" / "go").touch()
    return view, (await ended(vm, "one")).output


async def a_time_out_kills_the_own_process_only(vm: Machine) -> Seen:
    view = await ran(vm, WAITS, seconds=1)
    return view, alive(vm)


async def a_signal_kills_the_own_process_only(vm: Machine) -> Seen:
    await vm.put("one", WAITS)
    await began(vm, "began")
    await vm.kill_scripts()
    view = await ended(vm, "one")
    return view, alive(vm)


async def two_run_commands_run_in_parallel(vm: Machine) -> Seen:
    await vm.put("one", f"{BASH}touch /tmp/a; until [ -e /tmp/b ]; do sleep 0.05; done")
    await vm.put("two", f"{BASH}touch /tmp/b; until [ -e /tmp/a ]; do sleep 0.05; done")
    return (await ended(vm, "one")).state, (await ended(vm, "two")).state


async def a_deletion_kills_nothing(vm: Machine) -> Seen:
    await vm.put("one", WAITS)
    await began(vm, "began")
    await vm.delete("one")
    return vm.view("one"), alive(vm)


async def a_deleted_name_never_runs_again(vm: Machine) -> Seen:
    await ran(vm, f"{BASH}echo first")
    await vm.delete("one")
    await vm.put("one", f"{BASH}touch /tmp/again")
    await vm.put("two", f"{BASH}true")
    await ended(vm, "two")
    return vm.view("one"), (vm.folder / "tmp" / "again").exists()


async def a_deleted_name_shows_what_its_old_script_still_reports(vm: Machine) -> Seen:
    await vm.put("one", WAITS)
    await began(vm, "began")
    await vm.delete("one")
    (vm.folder / "tmp" / "go").touch()
    await vm.put("one", f"{BASH}touch /tmp/again")
    return await ended(vm, "one"), (vm.folder / "tmp" / "again").exists()


async def a_higher_number_runs_beside_the_lower_one(vm: Machine) -> Seen:
    await vm.put("one", WAITS)
    await began(vm, "began")
    await vm.put("one", f"{BASH}echo second")
    view = await ended(vm, "one")
    return view.output, alive(vm)


async def the_same_number_runs_once(vm: Machine) -> Seen:
    await ran(vm, f"{BASH}echo x >>/tmp/count; echo done")
    await vm.repeat("one")
    await vm.put("two", f"{BASH}cat /tmp/count")
    return (await ended(vm, "two")).output, vm.view("one").output


async def after_a_reboot_a_script_runs_for_good(vm: Machine) -> Seen:
    await vm.put("one", WAITS)
    await began(vm, "began")
    await vm.reboot()
    await vm.put("two", f"{BASH}true")
    await ended(vm, "two")
    return words(vm.view("one")), vm.view("one").ended, alive(vm)


async def _without_its_handler(vm: Machine, replace: Callable[[], Awaitable[None]]) -> Seen:
    await vm.put("one", WAITS)
    await began(vm, "began")
    await replace()
    lived = alive(vm)
    own, _ = pids(vm)
    (vm.folder / "tmp" / "go").touch()
    await until(lambda: not is_alive(own), "the script's end")
    await vm.put("two", f"{BASH}true")
    await ended(vm, "two")
    return lived, words(vm.view("one")), vm.view("one").ended


async def a_script_outlives_its_handler_and_loses_its_line(vm: Machine) -> Seen:
    return await _without_its_handler(vm, vm.replace_handler)


async def a_script_outlives_an_upgrade_and_loses_its_line(vm: Machine) -> Seen:
    return await _without_its_handler(vm, vm.upgrade_handler)


async def a_fresh_disk_runs_old_commands_again(vm: Machine) -> Seen:
    first = await ran(vm, f"{BASH}echo x >>/tmp/count; cat /tmp/count")
    await vm.put("two", f"{BASH}exit 5")
    await ended(vm, "two")
    await vm.replace_disk()
    await began(vm, "count")
    await until(lambda: vm.view("one").ended and vm.view("two").ended, "both ends")
    return first.output, vm.view("one").output, vm.view("two").code


async def a_full_disk_is_told_at_once(vm: Machine) -> Seen:
    await vm.obstruct("disk-full")
    return (words(await ran(vm, f"{BASH}touch /tmp/began\n#{'x' * 65_536}")),)


async def a_disk_without_inodes_is_told_at_once_as_a_failed_download(vm: Machine) -> Seen:
    await vm.obstruct("no-inodes")
    view = await ran(vm, f"{BASH}touch /tmp/began")
    return view.state, view.message.partition(".")[0], view.message.rpartition("Linux: ")[2], view.code, told(view)


async def a_name_whose_number_could_not_be_written_is_never_heard_of(vm: Machine) -> Seen:
    await vm.obstruct("no-number")
    await vm.put("one", f"{BASH}touch /tmp/began")
    await vm.repeat("one")
    await vm.put("two", f"{BASH}true")
    await ended(vm, "two")
    return vm.view("one"), (vm.folder / "tmp" / "began").exists()


async def a_deleted_name_is_reported_as_executed_after_an_upgrade(vm: Machine) -> Seen:
    await ran(vm, f"{BASH}echo first")
    await vm.delete("one")
    await vm.upgrade_handler()
    await vm.put("one", f"{BASH}touch /tmp/began")
    return await ended(vm, "one"), (vm.folder / "tmp" / "began").exists()


async def a_missing_certificate_is_told_at_once(vm: Machine) -> Seen:
    await vm.obstruct("no-certificate")
    view = await ran(vm, f"{BASH}touch /tmp/began", protected=[("A", "b")])
    return view.state, view.message.partition(" stderr=")[0], view.code, told(view)


async def a_folder_that_may_not_execute_is_told_at_once(vm: Machine) -> Seen:
    await vm.obstruct("no-exec")
    return (await ran(vm, f"{BASH}touch /tmp/began"),)


async def a_missing_interpreter_is_told_at_once(vm: Machine) -> Seen:
    await vm.obstruct("no-interpreter")
    return (await ran(vm, "#!/no/such\n"),)


async def arguments_that_are_too_long_end_with_code_0(vm: Machine) -> Seen:
    return (words(await ran(vm, f"{BASH}touch /tmp/began", parameters=[("A", "x" * 200_000)])),)


async def operators(vm: Machine, name: str, *, seconds: int = 60, **changes: str) -> tuple[int, str | None]:
    """Run the operator's own script to its end; return the exit code and its result, if it could tell one."""
    given = vm.pce.parameters(vm, **changes)
    key = given.pop("MICROSEG_ACTIVATION_CODE")
    protected = [("MICROSEG_ACTIVATION_CODE", key)]
    await vm.put(name, LINUX, parameters=[*given.items()], protected=protected, seconds=seconds)
    view = await ended(vm, name)
    result = parse_result(view.output, NONCE)
    return view.code, result.outcome.value if result is not None else None


async def the_operators_script_asks_and_pairs(vm: Machine) -> Seen:
    seen = [
        await operators(vm, "one", MODE="probe", ACTIVATION_CODE=""),
        await operators(vm, "two"),
        await operators(vm, "three", MODE="probe", ACTIVATION_CODE=""),
    ]
    files = [file for file in vm.folder.rglob("*") if file.is_file()]
    return *seen, [file for file in files if KEY.encode() in file.read_bytes()]


async def the_operators_script_ends_what_does_not_end_before_azure_does(vm: Machine) -> Seen:
    vm.pce.script = "#!/bin/sh\nsleep 300 & echo $$ $! >/tmp/pids\nwait\n"
    return await operators(vm, "one", seconds=20, DEADLINE="2"), alive(vm)


async def the_operators_lock_outlives_a_time_out(vm: Machine) -> Seen:
    """The vendor's script goes on without the shell that began it: the next run is told so, and then what it did."""
    vm.pce.hold = asyncio.Event()
    first = await operators(vm, "one", seconds=2)
    second = await operators(vm, "two")
    vm.pce.hold.set()
    paired = vm.folder / "opt" / "illumio_ven_data" / "etc" / "agent_id.cfg"
    await until(paired.exists, "the pairing's end")
    return first, second, (await operators(vm, "three", MODE="probe", ACTIVATION_CODE=""))[1]


FAILED = "Execution failed: failed to execute command: command terminated with exit status="
PLACE = "/var/lib/waagent/run-command-handler/download/one/0"
SCRIPT = f"{PLACE}/script.sh"
NOT_BEGUN = "Execution failed: "
UNSAVED = "failed to save script to file: failed to write to the file"
FULL, TOO_LONG = "no space left on device", "argument list too long"
UNREADABLE = "failed to get configuration: error reading extension configuration: failed to parse protected settings"
RUNNING = ("Running", "Execution in progress", 0)

STORIES = (
    Story(a_script_succeeds, (View("Succeeded", "Execution completed", 0, "out\n", "err\n", ended=True),)),
    Story(a_script_fails, (View("Failed", f"{FAILED}3", 3, "out\n", "", ended=True),)),
    Story(parameters_reach_the_script, ("1 '2' \"3\" $(id) `id` = ü\nline|kept|unset|d|<a><b><2>0\n",)),
    Story(
        a_script_starts_in_this_environment,
        ([PLACE, "0022", "/dev/null", f"unset unset {PLACE}/script.sh", "3", "0", "alive", "500 root", "one 0"],),
    ),
    Story(
        the_shebang_counts_and_nothing_is_repaired,
        ((1, ""), (127, "bash"), (127, "bash"), (4, "script.sh")),
    ),
    Story(
        only_the_last_4096_bytes_are_reported,
        (4096, "9998\n9999\n", "\ufffd\ufffdx\ufffd\ufffd\ufffd\ufffdé"),
    ),
    Story(a_cut_through_a_character_shows_its_bytes, (1368, "\ufffd\ufffd€")),
    Story(
        output_so_far_is_reported_every_15_s,
        (View(*RUNNING, "so far\n", "", ended=False), "so far\nend\n"),
    ),
    Story(
        a_time_out_kills_the_own_process_only,
        (View("Failed", f"{FAILED}-1", -1, "so far\n", "", ended=True), (False, True)),
    ),
    Story(
        a_signal_kills_the_own_process_only,
        (View("Failed", f"{FAILED}-1", -1, "so far\n", "", ended=True), (False, True)),
    ),
    Story(two_run_commands_run_in_parallel, ("Succeeded", "Succeeded")),
    Story(a_deletion_kills_nothing, (NOTHING, (True, True))),
    Story(a_deleted_name_never_runs_again, (NOTHING, False)),
    Story(
        a_deleted_name_shows_what_its_old_script_still_reports,
        (View("Succeeded", "Execution completed", 0, "so far\nend\n", "", ended=True), False),
    ),
    Story(a_higher_number_runs_beside_the_lower_one, ("second\n", (True, True))),
    Story(the_same_number_runs_once, ("x\n", "done\n")),
    Story(after_a_reboot_a_script_runs_for_good, (RUNNING, False, (False, False))),
    Story(a_script_outlives_its_handler_and_loses_its_line, ((True, True), RUNNING, False)),
    Story(a_script_outlives_an_upgrade_and_loses_its_line, ((True, True), RUNNING, False)),
    Story(a_fresh_disk_runs_old_commands_again, ("x\n", "x\n", 5)),
    Story(
        a_full_disk_is_told_at_once,
        (
            (
                "Failed",
                f"{NOT_BEGUN}{UNSAVED}: {SCRIPT}: write {SCRIPT}: {FULL}",
                -203,
            ),
        ),
    ),
    Story(
        a_disk_without_inodes_is_told_at_once_as_a_failed_download,
        (
            "Failed",
            f"{NOT_BEGUN}File downloads failed",
            f"failed to prepare output directory: mkdir {PLACE.rpartition('/one')[0]}: {FULL}",
            -100,
            f"{FULL} on the VM (handler code -100)",
        ),
    ),
    Story(a_name_whose_number_could_not_be_written_is_never_heard_of, (NOTHING, False)),
    Story(
        a_deleted_name_is_reported_as_executed_after_an_upgrade,
        (
            View(
                "Unknown",
                "The script has been executed. However, the instanceView's execution state, output, error are unknown.",
                0,
                "Unknown",
                "Unknown",
                ended=True,
            ),
            False,
        ),
    ),
    Story(
        a_missing_certificate_is_told_at_once,
        (
            "Failed",
            f"{NOT_BEGUN}{UNREADABLE}: decrypting protected settings with smime command failed: error=exit status 2",
            -202,
            "the certificate that protects the parameters is missing on the VM (handler code -202)",
        ),
    ),
    Story(
        a_folder_that_may_not_execute_is_told_at_once,
        (
            View(
                "Failed",
                f"{FAILED}126",
                126,
                "",
                f"/bin/bash: line 1: {PLACE}/script.sh: Permission denied\n",
                ended=True,
            ),
        ),
    ),
    Story(
        a_missing_interpreter_is_told_at_once,
        (
            View(
                "Failed",
                f"{FAILED}127",
                127,
                "",
                f"/bin/bash: line 1: {PLACE}/script.sh: cannot execute: required file not found\n",
                ended=True,
            ),
        ),
    ),
    Story(
        arguments_that_are_too_long_end_with_code_0,
        (
            (
                "Failed",
                f"{NOT_BEGUN}failed to execute command: failed to execute command: fork/exec /bin/bash: {TOO_LONG}",
                0,
            ),
        ),
    ),
    Story(the_operators_script_asks_and_pairs, ((0, "not-paired"), (0, "paired"), (0, "already-paired"), [])),
    Story(the_operators_script_ends_what_does_not_end_before_azure_does, ((18, "timed-out"), (False, False))),
    Story(the_operators_lock_outlives_a_time_out, ((-1, None), (12, "busy"), "already-paired")),
)
