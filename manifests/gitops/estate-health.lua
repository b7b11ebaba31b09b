-- Argo CD's health of an Estate or a ManagedHost, by its conditions. manifests/gitops/argocd-cm.yaml carries it.
local health = {status = "Progressing", message = "The operator has not looked at it yet."}
local status = obj.status
if status == nil or status.conditions == nil then return health end
if status.observedGeneration ~= nil and status.observedGeneration < obj.metadata.generation then return health end

local conditions = {}
for _, condition in ipairs(status.conditions) do conditions[condition.type] = condition end
local function is(kind) return conditions[kind] ~= nil and conditions[kind].status == "True" end
local function told(kind, word)
  return {status = word, message = conditions[kind].reason .. ": " .. conditions[kind].message}
end

if obj.spec ~= nil and obj.spec.suspend then return {status = "Suspended", message = "spec.suspend is set."} end
if is("Stalled") then return told("Stalled", "Degraded") end
for _, kind in ipairs({"AzureReachable", "IllumioReachable", "CheckPointReachable", "MappingValid"}) do
  if conditions[kind] ~= nil and conditions[kind].status == "False" then return told(kind, "Degraded") end
end
if is("PlanHeld") then return told("PlanHeld", "Suspended") end
if is("Ready") then return told("Ready", "Healthy") end
if is("Reconciling") then return told("Ready", "Progressing") end
if obj.kind == "Estate" and conditions.Ready ~= nil and conditions.Ready.status == "False" then
  return told("Ready", "Degraded")
end
if conditions.Ready ~= nil then return told("Ready", "Suspended") end
return health
