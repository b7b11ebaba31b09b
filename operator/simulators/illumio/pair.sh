#!/usr/bin/env bash
# The pairing script of the simulated PCE: it is served by that PCE and pairs this machine with it, for real, through
# the activation call of the simulation. Arguments, files and closing lines are those of the vendor's script as far
# as they are publicly known; the failures' texts and exit codes are not, and are our own:
#   0 paired, 1 refused by the PCE or already paired, 2 wrong arguments, else curl's exit code.
# VEN_DATA_DIR (default /opt/illumio_ven_data) moves the state, VEN_GUEST_FILE (default /etc/microseg-world/guest.json)
# names what this machine is: {"hostname", "os", "interfaces": [{"name", "address", "cidr_block"}]}.
set -u
umask 026

PATH_VERSION="@PATH_VERSION@"
data_dir="${VEN_DATA_DIR:-/opt/illumio_ven_data}"
guest_file="${VEN_GUEST_FILE:-/etc/microseg-world/guest.json}"
server=""
code=""

usage() {
    echo "usage: pair.sh --management-server HOST:PORT --activation-code CODE" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case "$1" in
        --management-server) server="${2:-}"; shift 2 || usage ;;
        --activation-code) code="${2:-}"; shift 2 || usage ;;
        *) echo "ERROR: unknown option $1" >&2; usage ;;
    esac
done
[ -n "$server" ] && [ -n "$code" ] || usage

describe_interfaces() {
    command -v ip >/dev/null 2>&1 || return 0
    ip -o addr 2>/dev/null | awk '$3 == "inet" || $3 == "inet6" {
        split($4, a, "/")
        if ($2 == "lo") next
        printf "%s{\"name\":\"%s\",\"address\":\"%s\",\"cidr_block\":%d}", sep, $2, a[1], a[2]; sep = ","
    }'
}

describe_machine() {
    if [ -r "$guest_file" ]; then
        # Everything after the object's opening brace: the file may be more than one line.
        local text
        text="$(tr -d '\r\n' <"$guest_file")"
        printf '%s' "${text#*\{}"
        return
    fi
    printf '"hostname":"%s","os":"linux","interfaces":[%s]}' \
        "$(hostname | tr -cd 'A-Za-z0-9._-')" "$(describe_interfaces)"
}

echo "             Installing Illumio"
echo "             ------------------"
echo "Checking Runtime Environment.........."

if [ -s "$data_dir/etc/agent_activation.cfg" ]; then
    paired_with="$(sed -n 's/^masterconfig_server: *//p' "$data_dir/etc/agent_activation.cfg")"
    echo "ERROR: this VEN is already paired with $paired_with" >&2
    exit 1
fi
case "$code" in
    *[!0-9a-f]*)
        echo "ERROR: the activation code is not valid (malformed)" >&2
        exit 1
        ;;
esac

echo "Storing Activation Configuration ....."
echo "Pairing with Illumio ................"
# The code goes in by standard input: an argument of curl would show in the process list.
answer="$(
    { printf '{"activation_code":"%s",' "$code"; describe_machine; } |
        curl --silent --show-error --connect-timeout 15 --max-time 900 \
            --header 'Content-Type: application/json' --data-binary @- --write-out '\n%{http_code}' \
            "https://$server/api/v$PATH_VERSION/agents/activate" 2>&1
)"
failure=$?
status="${answer##*$'\n'}"
answer="${answer%$'\n'*}"

if [ "$failure" -ne 0 ]; then
    echo "ERROR: the PCE $server can not be reached: $answer" >&2
    exit "$failure"
fi
case "$status" in
    200 | 201) ;;
    4??)
        token="$(printf '%s' "$answer" | sed -n 's/.*"token":"\([a-z_]*\)".*/\1/p')"
        echo "Pairing Configuration exists ......FAILED"
        echo "ERROR: the PCE refused the activation code (HTTP $status ${token:-unknown})" >&2
        exit 1
        ;;
    *)
        echo "ERROR: the PCE $server is not available (HTTP $status)" >&2
        exit 22
        ;;
esac

field() {
    printf '%s' "$answer" | sed -n "s/.*\"$1\":\"\{0,1\}\([0-9a-f-]*\).*/\1/p"
}
agent_id="$(field agent_id)"
org_id="$(field org_id)"
workload_uuid="$(field workload_uuid)"
if [ -z "$agent_id" ] || [ -z "$org_id" ] || [ -z "$workload_uuid" ]; then
    echo "ERROR: the PCE's answer makes no sense" >&2
    exit 22
fi

mkdir -p "$data_dir/etc" || exit 1
printf 'agent_id: %s\norg_id: %s\nworkload_uuid: %s\n' "$agent_id" "$org_id" "$workload_uuid" \
    >"$data_dir/etc/agent_id.cfg.new" || exit 1
mv "$data_dir/etc/agent_id.cfg.new" "$data_dir/etc/agent_id.cfg" || exit 1
printf 'masterconfig_server: %s\n' "$server" >"$data_dir/etc/agent_activation.cfg" || exit 1

echo "Starting Illumio Processes............"
echo
echo "               Pairing Status"
echo "               --------------"
echo "Pairing Configuration exists ......SUCCESS "
echo "VEN Manager Daemon running ........SUCCESS "
echo "Master Configuration retrieval ....SUCCESS "
echo "VEN Configuration retrieval .......PENDING"
echo "VEN Configuration retrieval .......SUCCESS "
echo
echo "VEN has been SUCCESSFULLY paired with Illumio"
