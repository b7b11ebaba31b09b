#!/bin/bash
# Pairs this VM with an Illumio PCE (MICROSEG_MODE=install), or only tells whether it is paired (probe).
# Azure's managed run-command runs it as root; it is the same text for every VM. What differs comes in as
# environment variables and is checked against a pattern before any use. Nothing that the vendor's script
# prints is passed on: the one line on stdout is the result (see microseg/scripts/__init__.py).
#
# The lock is held by whatever still runs: Azure's handler kills only this shell at its time-out, and the
# vendor's script goes on, so the process around that script holds the lock, the script itself does not
# (the VEN's daemons would inherit it and keep it for ever). The script ends the vendor's script itself, early
# enough (MICROSEG_DEADLINE) that its result line is printed before that time-out.

set -u
umask 077
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

readonly UUID='^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$'
readonly METADATA='http://169.254.169.254/metadata/instance/compute/vmId?api-version=2021-02-01&format=text'
readonly VEN=/opt/illumio_ven_data/etc
readonly OURS=/run/microseg           # root's alone, unlike /var/lock and /tmp: nobody else can hold or forge it
readonly KILL_AFTER=60                # seconds between the request to end and the kill
readonly LARGEST_SCRIPT=10485760      # bytes

outcome=script-failed code=600 workload=- org=- nonce=-
work='' lock_dir=''

# Ends the script: outcome word, code.
finish() {
  outcome=$1 code=$2
  exit
}

# The only line on stdout, printed once, whatever happened. The EXIT trap calls it.
# shellcheck disable=SC2317,SC2329
report() {
  trap - EXIT
  [ -z "$work" ] || rm -rf -- "$work"
  [ -z "$lock_dir" ] || rm -rf -- "$lock_dir"
  printf 'microseg-result v1 nonce=%s outcome=%s code=%s workload=%s org=%s\n' \
    "$nonce" "$outcome" "$code" "$workload" "$org"
  case $outcome in
    paired | already-paired | not-paired) exit 0 ;;
    wrong-vm) exit 10 ;;
    too-late) exit 11 ;;
    busy) exit 12 ;;
    paired-elsewhere) exit 13 ;;
    key-refused) exit 14 ;;
    pce-unreachable) exit 15 ;;
    unsupported-os) exit 16 ;;
    timed-out) exit 18 ;;
    *) exit 17 ;;
  esac
}

# A parameter's value where it matches the pattern; refused otherwise. $1 name, $2 pattern, $3 default.
checked() {
  local value=${!1-${3-}}
  [[ $value =~ $2 ]] || return 1
  printf '%s' "$value"
}

read_parameters() {
  nonce=$(checked MICROSEG_NONCE '^[0-9a-f]{8,64}$') || { nonce=-; finish script-failed 601; }
  mode=$(checked MICROSEG_MODE '^(install|probe)$') || finish script-failed 601
  vm_id=$(checked MICROSEG_VM_ID "$UUID") || finish script-failed 601
  pce=$(checked MICROSEG_PCE '^([A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}$') || finish script-failed 601
  version=$(checked MICROSEG_PCE_PATH_VERSION '^[0-9]{1,3}$' 18) || finish script-failed 601
  profile=$(checked MICROSEG_PROFILE_ID '^[0-9]{1,10}$' 0) || finish script-failed 601
  not_after=$(checked MICROSEG_NOT_AFTER '^[1-9][0-9]{0,11}$') || finish script-failed 601
  deadline=$(checked MICROSEG_DEADLINE '^[1-9][0-9]{0,5}$') || finish script-failed 601
  key=$(checked MICROSEG_ACTIVATION_CODE '^([0-9A-Za-z][0-9A-Za-z._-]{7,255})?$') || finish script-failed 601
  unset MICROSEG_ACTIVATION_CODE
}

# SMBIOS stores the first three groups little-endian and not every kernel turns them: $1 in the other order.
other_byte_order() {
  local id=$1
  printf '%s' "${id:6:2}${id:4:2}${id:2:2}${id:0:2}-${id:11:2}${id:9:2}-${id:16:2}${id:14:2}${id:18}"
}

# Refuses unless this VM says that it is the VM that the parameters are for.
check_vm_id() {
  local wanted=${vm_id,,} own
  own=$(curl -s -f --noproxy '*' --connect-timeout 2 --max-time 5 -H Metadata:true "$METADATA" 2>/dev/null | head -c 100)
  if [[ $own =~ $UUID ]]; then
    [ "${own,,}" = "$wanted" ] || finish wrong-vm 611
    return
  fi
  own=$(head -c 100 /sys/class/dmi/id/product_uuid 2>/dev/null)
  [[ $own =~ $UUID ]] || finish wrong-vm 612
  own=${own,,}
  [ "$own" = "$wanted" ] || [ "$(other_byte_order "$own")" = "$wanted" ] || finish wrong-vm 611
}

# Without one of these a later answer would be wrong: without sed, a paired VM would look unpaired.
check_programs() {
  local program
  for program in date grep head mkdir rm sed uname; do
    command -v "$program" >/dev/null 2>&1 || finish unsupported-os 624
  done
}

check_time() {
  [ "$(date +%s)" -lt "$not_after" ] || finish too-late 0
}

# Whether the process that made the lock folder $1 is gone. One without a number yet is being made, unless it is old.
lock_is_left_over() {
  local holder
  holder=$(head -c 10 "$1/pid" 2>/dev/null)
  if [[ $holder =~ ^[0-9]+$ ]]; then
    ! kill -0 "$holder" 2>/dev/null
  else
    [ -n "$(find "$1" -maxdepth 0 -mmin +1 2>/dev/null)" ]
  fi
}

# Takes the one lock of this VM or ends: it never waits.
take_lock() {
  mkdir -p "$OURS" 2>/dev/null && [ -d "$OURS" ] && [ -O "$OURS" ] && [ ! -L "$OURS" ] || finish script-failed 603
  if command -v flock >/dev/null 2>&1; then
    { exec 9>>"$OURS/lock"; } 2>/dev/null || finish script-failed 603
    flock -n 9 || finish busy 0
    return
  fi
  local dir=$OURS/lock.d
  if ! mkdir "$dir" 2>/dev/null; then
    lock_is_left_over "$dir" || finish busy 0
    # Of several that find it left over, one succeeds in moving it away.
    mv -T "$dir" "$dir.$$" 2>/dev/null || finish busy 0
    rm -rf -- "$dir.$$"
    mkdir "$dir" 2>/dev/null || finish busy 0
  fi
  lock_dir=$dir
  printf '%s\n' "$$" >"$dir/pid"
}

# The value of one key in a "key: value" file of the VEN, bare of quotes; nothing where it is missing.
value_of() {
  [ -r "$1" ] || return 0
  sed -n "s/^[[:space:]]*$2[[:space:]]*[:=][[:space:]]*[\"']\{0,1\}\([^\"'[:space:]]*\).*\$/\1/p" "$1" | head -n 1
}

# Sets state to none, here (then workload and org too) or elsewhere.
look_for_ven() {
  local server id in_org
  state=none
  server=$(value_of "$VEN/agent_activation.cfg" masterconfig_server)
  [ -n "$server" ] || return 0
  if [ "${server,,}" != "${pce,,}" ]; then
    state=elsewhere
    return
  fi
  id=$(value_of "$VEN/agent_id.cfg" workload_uuid)
  in_org=$(value_of "$VEN/agent_id.cfg" org_id)
  if [[ $id =~ $UUID && $in_org =~ ^[0-9]{1,10}$ ]]; then
    state=here workload=${id,,} org=$in_org
  fi
}

end_if_paired() {
  look_for_ven
  case $state in
    here) finish already-paired 0 ;;
    elsewhere) finish paired-elsewhere 0 ;;
    *) [ "$mode" = install ] || finish not-paired 0 ;;
  esac
}

check_os() {
  [ "$(uname -s)" = Linux ] || finish unsupported-os 621
  case $(uname -m) in
    x86_64 | aarch64) ;;
    *) finish unsupported-os 622 ;;
  esac
  command -v curl >/dev/null 2>&1 || finish unsupported-os 623
}

make_work_folder() {
  work=$OURS/work
  mkdir "$work" || finish script-failed 603
}

# Fetches the PCE's own pairing script. An "insecure" in a .curlrc of this VM is overridden.
download() {
  local url status result
  url="https://$pce/api/v$version/software/ven/image?pair_script=pair.sh&profile_id=$profile"
  status=$(
    ulimit -f $((LARGEST_SCRIPT / 1024))
    curl --silent --globoff --proto '=https' --tlsv1.2 --no-insecure --no-location --connect-timeout 15 --max-time 300 \
      --max-filesize "$LARGEST_SCRIPT" -o "$work/pair.sh" -w '%{http_code}' "$url" </dev/null 2>/dev/null
  )
  result=$?
  case $result in
    0) ;;
    5 | 6 | 7 | 16 | 18 | 28 | 35 | 51 | 52 | 53 | 54 | 55 | 56 | 58 | 59 | 60 | 66 | 77 | 80 | 83 | 90 | 91 | 92)
      finish pce-unreachable "$result"
      ;;
    *) finish script-failed "$result" ;;
  esac
  case $status in
    200) ;;
    5??) finish pce-unreachable "$status" ;;
    *) finish script-failed "$status" ;;
  esac
  [ "$(head -c 2 "$work/pair.sh")" = '#!' ] || finish script-failed 604
}

# Seconds left before the deadline, at least 1. The VM's clock may have been set meanwhile.
remaining() {
  local left=$((deadline - SECONDS))
  [ "$left" -le "$deadline" ] || left=$deadline
  [ "$left" -ge 1 ] || left=1
  printf '%s' "$left"
}

# Ends a command that takes more than $1 seconds, with what it started; by hand where the VM has no `timeout`.
bounded() {
  local seconds=$1 job watch result
  shift
  if command -v timeout >/dev/null 2>&1; then
    timeout --kill-after="$KILL_AFTER" "$seconds" "$@"
    return
  fi
  set -m # a process group of its own
  "$@" &
  job=$!
  { sleep "$seconds" && kill -TERM -- "-$job" && sleep "$KILL_AFTER" && kill -KILL -- "-$job"; } >/dev/null 2>&1 &
  watch=$!
  set +m
  wait "$job" 2>/dev/null
  result=$?
  kill -KILL -- "-$watch" 2>/dev/null
  return "$result"
}

# What bash runs in the place of the vendor's script: it makes the arguments, and goes on as that script. So the key
# is on no command line, which every user of the VM can read; an environment only root can.
# shellcheck disable=SC2016
readonly AS_PAIR_SH='set -- --management-server "$1" --activation-code "$PAIRING_KEY"; unset PAIRING_KEY; . "$0"'

# The vendor's script takes the key as an argument only.
pair() {
  (
    umask 026
    [ -z "$lock_dir" ] || printf '%s\n' "$BASHPID" >"$lock_dir/pid"
    PAIRING_KEY=$key bounded "$(remaining)" /bin/bash -c "$AS_PAIR_SH" "$work/pair.sh" "$pce" \
      </dev/null >"$work/output" 2>&1 9>&-
    # Being here at all keeps this process, and with it the lock, until the vendor's script is over.
    local result=$?
    kill -0 "$$" 2>/dev/null || rm -rf -- "$work" # the main process was killed: nobody else cleans up
    exit "$result"
  )
}

output_has() {
  grep -E -i -q -e "$1" "$work/output"
}

# Which failure it was. The vendor documents no texts, so several likely ones are known; any other is script-failed.
classify() {
  local result=$1
  local key_words='(activation|pairing)[ _-]*(code|key)'
  local refusal='(invalid|not valid|expired|refused|rejected|revoked|denied|exhausted|exceeded|already used|used up|unauthori[sz]ed)'
  if output_has "$key_words.*$refusal" || output_has "$refusal.*$key_words"; then
    finish key-refused "$result"
  fi
  local network='curl: \((5|6|7|28|35|52|56|60)\)|could not resolve host|connection (refused|timed out)'
  local unwell='HTTP(/[0-9.]+)? 5[0-9][0-9]|service unavailable|bad gateway|gateway time-?out'
  if output_has "$network|$unwell"; then
    finish pce-unreachable "$result"
  fi
  [ "$result" -ne 0 ] || result=605
  finish script-failed "$result"
}

main() {
  trap report EXIT
  trap 'finish script-failed 606' HUP INT TERM
  read_parameters
  check_programs
  check_vm_id
  check_time
  take_lock
  rm -rf -- "$OURS/work" # of a run that was killed
  end_if_paired
  [ -n "$key" ] || finish script-failed 602
  check_os
  make_work_folder
  download
  check_time
  local begun=$SECONDS limit result
  limit=$(remaining)
  pair
  result=$?
  look_for_ven
  case $state in
    here) finish paired "$result" ;;
    elsewhere) finish script-failed 607 ;;
    *)
      [ $((SECONDS - begun)) -lt "$limit" ] || finish timed-out 608
      classify "$result"
      ;;
  esac
}

main
