// What GitOps tools think of our objects: kstatus (Flux, kubectl wait and others) by its library, and Argo CD's health
// check by the Lua that Argo CD embeds. For tests/charts/test_health.py; nothing here is shipped.
//
//	health < list.json              one line per object: kstatus' status
//	health script.lua < list.json   one line per object: the status that the script returns
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var list map[string]any
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	items, _ := list["items"].([]any)
	for _, item := range items {
		object, _ := item.(map[string]any)
		var found string
		if len(args) == 0 {
			result, err := status.Compute(&unstructured.Unstructured{Object: object})
			if err != nil {
				return err
			}
			found = string(result.Status)
		} else if found, err = health(args[0], object); err != nil {
			return err
		}
		fmt.Println(found)
	}
	return nil
}

// health runs an Argo CD health check as Argo CD does: the object is the global `obj`, and a table is returned.
func health(file string, object map[string]any) (string, error) {
	state := lua.NewState()
	defer state.Close()
	state.SetGlobal("obj", convert(state, object))
	if err := state.DoFile(file); err != nil {
		return "", err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", fmt.Errorf("%s returned no table", file)
	}
	return table.RawGetString("status").String() + ": " + table.RawGetString("message").String(), nil
}

func convert(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, each := range value {
			table.RawSetString(key, convert(state, each))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, each := range value {
			table.Append(convert(state, each))
		}
		return table
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	default:
		return lua.LNil
	}
}
