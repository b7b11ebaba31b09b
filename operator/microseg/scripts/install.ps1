# Pairs this VM with an Illumio PCE (MICROSEG_MODE=install), or only tells whether it is paired (probe).
# Azure's managed run-command runs it as SYSTEM; it is the same text for every VM, for Windows PowerShell 5.1 and later.
# What differs comes in as parameters and is checked against a pattern before any use. Nothing that the vendor's
# script prints is passed on: the last line is the result (see microseg/scripts/__init__.py).
# It is install.sh's twin: a change of one is a change of the other.

param(
    [string]$MICROSEG_MODE = '',
    [string]$MICROSEG_VM_ID = '',
    [string]$MICROSEG_PCE = '',
    [string]$MICROSEG_PCE_PATH_VERSION = '18',
    [string]$MICROSEG_PROFILE_ID = '0',
    [string]$MICROSEG_NOT_AFTER = '',
    [string]$MICROSEG_DEADLINE = '',
    [string]$MICROSEG_NONCE = '',
    [string]$MICROSEG_ACTIVATION_CODE = ''
)

$Uuid = '\A[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\z'
$Metadata = 'http://169.254.169.254/metadata/instance/compute/vmId?api-version=2021-02-01&format=text'
$LargestScript = 10485760
$ExitCodes = @{
    'paired' = 0; 'already-paired' = 0; 'not-paired' = 0; 'wrong-vm' = 10; 'too-late' = 11; 'busy' = 12
    'paired-elsewhere' = 13; 'key-refused' = 14; 'pce-unreachable' = 15; 'unsupported-os' = 16; 'script-failed' = 17
    'timed-out' = 18
}
$Begun = [System.Diagnostics.Stopwatch]::StartNew()
$StopPatience = 60000

# A result: outcome word, code and, for a paired VM, who it is.
function New-Result([string]$Outcome, [int]$Code, $Identity = $null) {
    $result = @{ Outcome = $Outcome; Code = $Code; Workload = '-'; Org = '-' }
    if ($null -ne $Identity) {
        $result.Workload = $Identity.Workload
        $result.Org = $Identity.Org
    }
    return $result
}

# Whether every parameter has the form it must have. Case-sensitive, and the whole value.
function Test-Parameters {
    return ($MICROSEG_NONCE -cmatch '\A[0-9a-f]{8,64}\z') -and
        ($MICROSEG_MODE -cmatch '\A(install|probe)\z') -and
        ($MICROSEG_VM_ID -cmatch $Uuid) -and
        ($MICROSEG_PCE -cmatch '\A([A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}\z') -and
        ($MICROSEG_PCE_PATH_VERSION -cmatch '\A[0-9]{1,3}\z') -and
        ($MICROSEG_PROFILE_ID -cmatch '\A[0-9]{1,10}\z') -and
        ($MICROSEG_NOT_AFTER -cmatch '\A[1-9][0-9]{0,11}\z') -and
        ($MICROSEG_DEADLINE -cmatch '\A[1-9][0-9]{0,5}\z') -and
        ($MICROSEG_ACTIVATION_CODE -cmatch '\A([0-9A-Za-z][0-9A-Za-z._-]{7,255})?\z')
}

# The body of a GET, at most $Limit bytes. Windows PowerShell's own cmdlets cannot leave the proxy out, hence the class.
function Read-Url([string]$Url, [int]$Milliseconds, [int]$Limit, [switch]$InstanceMetadata) {
    $request = [System.Net.HttpWebRequest][System.Net.WebRequest]::Create($Url)
    $request.AllowAutoRedirect = $false
    $request.Timeout = $Milliseconds
    $request.ReadWriteTimeout = $Milliseconds
    $started = [System.Diagnostics.Stopwatch]::StartNew()
    if ($InstanceMetadata) {
        $request.Proxy = $null
        $request.Headers.Add('Metadata', 'true')
    }
    $response = $request.GetResponse()
    try {
        if ([int]$response.StatusCode -ne 200) {
            return @{ Status = [int]$response.StatusCode; Body = (New-Object byte[] 0) }
        }
        $stream = $response.GetResponseStream()
        $body = New-Object System.IO.MemoryStream
        $buffer = New-Object byte[] 65536
        while (($count = $stream.Read($buffer, 0, $buffer.Length)) -gt 0) {
            $body.Write($buffer, 0, $count)
            if ($body.Length -gt $Limit) {
                throw (New-Object System.IO.InvalidDataException 'too large')
            }
            if ($started.ElapsedMilliseconds -gt $Milliseconds) {
                throw (New-Object System.Net.WebException 'too slow', ([System.Net.WebExceptionStatus]::Timeout))
            }
        }
        return @{ Status = 200; Body = $body.ToArray() }
    }
    finally {
        $response.Close()
    }
}

# This VM's own vmId in lower case as Azure's instance metadata has it, else as its firmware has it, else nothing.
function Get-OwnVmId {
    try {
        $answer = Read-Url -Url $Metadata -Milliseconds 5000 -Limit 100 -InstanceMetadata
        $id = [System.Text.Encoding]::ASCII.GetString($answer.Body)
        if ($id -cmatch $Uuid) {
            return @($id.ToLowerInvariant())
        }
    }
    catch {
        Write-Verbose 'The instance metadata service did not answer.'
    }
    try {
        $id = [string](Get-CimInstance -ClassName Win32_ComputerSystemProduct -ErrorAction Stop).UUID
        if ($id -cmatch $Uuid) {
            $id = $id.ToLowerInvariant()
            return @($id, (Switch-ByteOrder $id))
        }
    }
    catch {
        Write-Verbose 'The firmware did not tell the UUID.'
    }
    return @()
}

# SMBIOS stores the first three groups little-endian and not every reader turns them: the id in the other order.
function Switch-ByteOrder([string]$Id) {
    $pairs = foreach ($start in 6, 4, 2, 0, 11, 9, 16, 14) { $Id.Substring($start, 2) }
    return ('{0}{1}{2}{3}-{4}{5}-{6}{7}' -f $pairs) + $Id.Substring(18)
}

function Test-TooLate {
    $epoch = New-Object System.DateTime 1970, 1, 1, 0, 0, 0, ([System.DateTimeKind]::Utc)
    $now = [int64][Math]::Floor(([System.DateTime]::UtcNow - $epoch).TotalSeconds)
    return $now -ge [int64]$MICROSEG_NOT_AFTER
}

# The value of one key in a "key: value" file of the VEN, bare of quotes; nothing where it is missing.
function Get-VenValue([string]$Name, [string]$Key) {
    $path = Join-Path (Join-Path (Join-Path $env:ProgramData 'Illumio') 'etc') $Name
    if (-not (Test-Path -LiteralPath $path -PathType Leaf)) {
        return ''
    }
    foreach ($line in (Get-Content -LiteralPath $path -ErrorAction Stop)) {
        if ($line -cmatch ('\A\s*' + $Key + '\s*[:=]\s*["'']?([^"''\s]*)')) {
            return $Matches[1]
        }
    }
    return ''
}

# State none, here (then Workload and Org too) or elsewhere.
function Get-Ven {
    $server = Get-VenValue -Name 'agent_activation.cfg' -Key 'masterconfig_server'
    if (-not $server) {
        return @{ State = 'none' }
    }
    if ($server.ToLowerInvariant() -cne $MICROSEG_PCE.ToLowerInvariant()) {
        return @{ State = 'elsewhere' }
    }
    $id = Get-VenValue -Name 'agent_id.cfg' -Key 'workload_uuid'
    $org = Get-VenValue -Name 'agent_id.cfg' -Key 'org_id'
    if (($id -cmatch $Uuid) -and ($org -cmatch '\A[0-9]{1,10}\z')) {
        return @{ State = 'here'; Workload = $id.ToLowerInvariant(); Org = $org }
    }
    return @{ State = 'none' }
}

# Fetches the PCE's own pairing script to $Path; a result where that failed, nothing where it worked.
function Save-PairingScript([string]$Path) {
    $url = 'https://{0}/api/v{1}/software/ven/image?pair_script=pair.ps1&profile_id={2}' -f
        $MICROSEG_PCE, $MICROSEG_PCE_PATH_VERSION, $MICROSEG_PROFILE_ID
    try {
        $answer = Read-Url -Url $url -Milliseconds 300000 -Limit $LargestScript
    }
    catch {
        # PowerShell wraps what a method throws.
        $problem = $_.Exception
        while (($problem -isnot [System.Net.WebException]) -and $problem.InnerException) {
            $problem = $problem.InnerException
        }
        if ($problem -isnot [System.Net.WebException]) {
            return New-Result 'script-failed' 604
        }
        if ($null -eq $problem.Response) {
            return New-Result 'pce-unreachable' ([int]$problem.Status)
        }
        $answer = @{ Status = [int]$problem.Response.StatusCode }
    }
    if ($answer.Status -ge 500) {
        return New-Result 'pce-unreachable' $answer.Status
    }
    if ($answer.Status -ne 200) {
        return New-Result 'script-failed' $answer.Status
    }
    $text = [System.Text.Encoding]::UTF8.GetString($answer.Body)
    if ((-not $text.Trim()) -or $text.TrimStart().StartsWith('<!') -or $text.TrimStart().StartsWith('<html')) {
        return New-Result 'script-failed' 604
    }
    [System.IO.File]::WriteAllBytes($Path, $answer.Body)
    return $null
}

# What runs as the vendor's script. The values come in as arguments, so no log of script texts has the key.
$PairingRun = {
    param([string]$Path, [string]$Server, [string]$Code, [string]$Output)
    $ErrorActionPreference = 'Continue'
    $global:LASTEXITCODE = 0
    Set-ExecutionPolicy -Scope Process -ExecutionPolicy RemoteSigned -Force -ErrorAction SilentlyContinue
    try {
        & $Path -management-server $Server -activation-code $Code *> $Output
    }
    catch {
        Add-Content -LiteralPath $Output -Value ([string]$_.Exception.Message)
        return 1
    }
    return [int]$global:LASTEXITCODE
}

# Runs the vendor's script inside this process, so that the key is on no new command line, until the deadline;
# returns its exit code, or -1 where the deadline came first.
function Invoke-PairingScript([string]$Path, [string]$OutputPath) {
    $shell = [System.Management.Automation.PowerShell]::Create()
    $null = $shell.AddScript($PairingRun.ToString())
    foreach ($value in $Path, $MICROSEG_PCE, $MICROSEG_ACTIVATION_CODE, $OutputPath) {
        $null = $shell.AddArgument($value)
    }
    $left = [int64]$MICROSEG_DEADLINE * 1000 - $Begun.ElapsedMilliseconds
    $running = $shell.BeginInvoke()
    if (-not $running.AsyncWaitHandle.WaitOne([int][Math]::Max($left, 1000))) {
        $null = $shell.BeginStop($null, $null).AsyncWaitHandle.WaitOne($StopPatience)
        return -1
    }
    try {
        return [int]@($shell.EndInvoke($running))[-1]
    }
    finally {
        $shell.Dispose()
    }
}

# Which failure it was. The vendor documents no texts, so several likely ones are known; any other is script-failed.
function Get-Failure([string]$OutputPath, [int]$ExitCode) {
    $key = '(activation|pairing)[ _-]*(code|key)'
    $refusal = '(invalid|not valid|expired|refused|rejected|revoked|denied|exhausted|exceeded|already used|used up|unauthori[sz]ed)'
    $network = 'could not be resolved|unable to connect|could not establish trust|connection (refused|timed out)'
    $unwell = 'HTTP(/[0-9.]+)? 5[0-9][0-9]|service unavailable|bad gateway|gateway time-?out|\(50[234]\)'
    $lines = @(Get-Content -LiteralPath $OutputPath -ErrorAction SilentlyContinue)
    if ($lines -match "$key.*$refusal|$refusal.*$key") {
        return New-Result 'key-refused' $ExitCode
    }
    if ($lines -match "$network|$unwell") {
        return New-Result 'pce-unreachable' $ExitCode
    }
    if ($ExitCode -eq 0) {
        $ExitCode = 605
    }
    return New-Result 'script-failed' $ExitCode
}

# A fresh folder that only SYSTEM and administrators can enter.
function New-PrivateFolder {
    $path = Join-Path (Join-Path $env:SystemRoot 'Temp') ('microseg-' + [Guid]::NewGuid().ToString('N'))
    $acl = New-Object System.Security.AccessControl.DirectorySecurity
    $acl.SetSecurityDescriptorSddlForm('D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
    $null = New-Item -ItemType Directory -Path $path -ErrorAction Stop
    Set-Acl -LiteralPath $path -AclObject $acl -ErrorAction Stop
    return $path
}

# Downloads and runs the pairing script; the files it leaves decide, not its exit code.
function Install-Ven {
    [System.Net.ServicePointManager]::SecurityProtocol = [System.Net.SecurityProtocolType]3072 # TLS 1.2
    $folder = New-PrivateFolder
    try {
        $script = Join-Path $folder 'pair.ps1'
        $output = Join-Path $folder 'output.txt'
        $failure = Save-PairingScript $script
        if ($null -ne $failure) {
            return $failure
        }
        if (Test-TooLate) {
            return New-Result 'too-late' 0
        }
        $exitCode = Invoke-PairingScript $script $output
        $ven = Get-Ven
        switch ($ven.State) {
            'here' { return New-Result 'paired' ([Math]::Max($exitCode, 0)) $ven }
            'elsewhere' { return New-Result 'script-failed' 607 }
        }
        if ($exitCode -lt 0) {
            return New-Result 'timed-out' 608
        }
        return Get-Failure $output $exitCode
    }
    finally {
        Remove-Item -LiteralPath $folder -Recurse -Force -ErrorAction SilentlyContinue
    }
}

# Everything that happens under the lock.
function Invoke-Mode {
    $ven = Get-Ven
    switch ($ven.State) {
        'here' { return New-Result 'already-paired' 0 $ven }
        'elsewhere' { return New-Result 'paired-elsewhere' 0 }
    }
    if ($MICROSEG_MODE -ceq 'probe') {
        return New-Result 'not-paired' 0
    }
    if (-not $MICROSEG_ACTIVATION_CODE) {
        return New-Result 'script-failed' 602
    }
    if ([System.Environment]::OSVersion.Platform -ne [System.PlatformID]::Win32NT) {
        return New-Result 'unsupported-os' 621
    }
    if (-not [System.Environment]::Is64BitOperatingSystem) {
        return New-Result 'unsupported-os' 622
    }
    return Install-Ven
}

function Invoke-Main {
    if (-not (Test-Parameters)) {
        return New-Result 'script-failed' 601
    }
    $own = @(Get-OwnVmId)
    if ($own.Count -eq 0) {
        return New-Result 'wrong-vm' 612
    }
    if ($own -cnotcontains $MICROSEG_VM_ID.ToLowerInvariant()) {
        return New-Result 'wrong-vm' 611
    }
    if (Test-TooLate) {
        return New-Result 'too-late' 0
    }
    $mutex = $null
    $held = $false
    try {
        try {
            $mutex = New-Object System.Threading.Mutex $false, 'Global\microseg-install'
            $held = $mutex.WaitOne(0)
        }
        catch [System.Threading.AbandonedMutexException] {
            $held = $true # its holder died: it is ours now
        }
        catch [System.UnauthorizedAccessException] {
            $held = $false # another account made it
        }
        if (-not $held) {
            return New-Result 'busy' 0
        }
        return Invoke-Mode
    }
    finally {
        if ($held) {
            $mutex.ReleaseMutex()
        }
        if ($null -ne $mutex) {
            $mutex.Dispose()
        }
    }
}

$final = $null
try {
    $final = @(Invoke-Main)[-1]
}
catch {
    $final = $null
}
if (($null -eq $final) -or (-not $ExitCodes.ContainsKey([string]$final.Outcome))) {
    $final = New-Result 'script-failed' 600
}
$printed = '-'
if ($MICROSEG_NONCE -cmatch '\A[0-9a-f]{8,64}\z') {
    $printed = $MICROSEG_NONCE
}
Write-Output ('microseg-result v1 nonce={0} outcome={1} code={2} workload={3} org={4}' -f
    $printed, $final.Outcome, $final.Code, $final.Workload, $final.Org)
exit $ExitCodes[$final.Outcome]
