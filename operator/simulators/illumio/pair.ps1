# The PowerShell twin of this world's pair.sh; see there for what is the vendor's and what is ours.
# Exit codes: 0 paired, 1 refused by the PCE or already paired, 2 wrong arguments, 7 PCE not reachable, 22 not available.
# VEN_DATA_DIR (default C:\ProgramData\Illumio) moves the state, VEN_GUEST_FILE
# (default C:\ProgramData\microseg-world\guest.json) names what this machine is.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSAvoidUsingWriteHost', '')]
param(
    [Alias('management-server')][string] $ManagementServer = '',
    [Alias('activation-code')][string] $ActivationCode = ''
)
$ErrorActionPreference = 'Stop'
$pathVersion = '@PATH_VERSION@'
$server = $ManagementServer
$code = $ActivationCode
$dataDir = if ($env:VEN_DATA_DIR) { $env:VEN_DATA_DIR } else { 'C:\ProgramData\Illumio' }
$guestFile = if ($env:VEN_GUEST_FILE) { $env:VEN_GUEST_FILE } else { 'C:\ProgramData\microseg-world\guest.json' }

function Stop-Pairing([string] $Message, [int] $ExitCode) {
    [Console]::Error.WriteLine("ERROR: $Message")
    exit $ExitCode
}

if (-not $server -or -not $code) { Stop-Pairing 'usage: pair.ps1 -management-server HOST:PORT -activation-code CODE' 2 }

Write-Output '             Installing Illumio'
Write-Output '             ------------------'
Write-Output 'Checking Runtime Environment..........'

$etc = Join-Path $dataDir 'etc'
$activation = Join-Path $etc 'agent_activation.cfg'
if (Test-Path -LiteralPath $activation) {
    $line = Get-Content -LiteralPath $activation | Where-Object { $_ -match '^masterconfig_server: *(.+)$' } | Select-Object -First 1
    Stop-Pairing "this VEN is already paired with $($line -replace '^masterconfig_server: *', '')" 1
}
if ($code -notmatch '^[0-9a-f]+$') { Stop-Pairing 'the activation code is not valid (malformed)' 1 }

if (Test-Path -LiteralPath $guestFile) {
    $guest = Get-Content -Raw -LiteralPath $guestFile | ConvertFrom-Json
    $machine = @{ hostname = $guest.hostname; os = $guest.os; interfaces = @($guest.interfaces) }
}
else {
    $addresses = @(Get-NetIPAddress | Where-Object { $_.InterfaceAlias -notmatch 'Loopback' } | ForEach-Object {
            @{ name = $_.InterfaceAlias; address = ($_.IPAddress -replace '%.*$', ''); cidr_block = [int] $_.PrefixLength }
        })
    $machine = @{ hostname = $env:COMPUTERNAME; os = 'windows'; interfaces = $addresses }
}
$machine['activation_code'] = $code

Write-Output 'Storing Activation Configuration .....'
Write-Output 'Pairing with Illumio ................'
[Net.ServicePointManager]::SecurityProtocol = 3072
$uri = "https://$server/api/v$pathVersion/agents/activate"
try {
    $answer = Invoke-RestMethod -Method Post -Uri $uri -ContentType 'application/json' -TimeoutSec 900 -UseBasicParsing `
        -Body ($machine | ConvertTo-Json -Depth 4 -Compress)
}
catch {
    $response = $_.Exception.Response
    if ($null -eq $response) { Stop-Pairing "the PCE $server can not be reached: $($_.Exception.Message)" 7 }
    $status = [int] $response.StatusCode
    if ($status -ge 500) { Stop-Pairing "the PCE $server is not available (HTTP $status)" 22 }
    $token = if ("$($_.ErrorDetails.Message)" -match '"token":"([a-z_]+)"') { $Matches[1] } else { 'unknown' }
    Write-Output 'Pairing Configuration exists ......FAILED'
    Stop-Pairing "the PCE refused the activation code (HTTP $status $token)" 1
}

New-Item -ItemType Directory -Force -Path $etc | Out-Null
@("agent_id: $($answer.agent_id)", "org_id: $($answer.org_id)", "workload_uuid: $($answer.workload_uuid)") |
    Set-Content -Encoding Ascii -LiteralPath (Join-Path $etc 'agent_id.cfg')
"masterconfig_server: $server" | Set-Content -Encoding Ascii -LiteralPath $activation

Write-Output 'Starting Illumio Processes............'
Write-Output ''
Write-Output '               Pairing Status'
Write-Output '               --------------'
Write-Output 'Pairing Configuration exists ......SUCCESS'
Write-Output 'VEN Manager Daemon running ........SUCCESS'
Write-Output 'Master Configuration retrieval ....SUCCESS'
Write-Output 'VEN Configuration retrieval .......SUCCESS'
Write-Output ''
Write-Output 'VEN has been SUCCESSFULLY paired with Illumio'
exit 0
