// SPDX-License-Identifier: GPL-3.0-or-later

// Contract tests with Grafana's own generated client. `client drive URL` calls every operation that
// the fake serves, and prints those whose answer does not decode; `client bodies` reads a request
// log, one JSON object a line, and prints the bodies that its models reject.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"

	"github.com/go-openapi/runtime"
	"github.com/go-openapi/strfmt"
	api "github.com/grafana/grafana-openapi-client-go/client"
	"github.com/grafana/grafana-openapi-client-go/client/folders"
	"github.com/grafana/grafana-openapi-client-go/client/provisioning"
	"github.com/grafana/grafana-openapi-client-go/client/search"
	"github.com/grafana/grafana-openapi-client-go/client/service_accounts"
	"github.com/grafana/grafana-openapi-client-go/models"
)

type validated interface {
	Validate(strfmt.Registry) error
}

func main() {
	failed := 0
	if len(os.Args) == 3 && os.Args[1] == "drive" {
		failed = drive(os.Args[2])
	} else if len(os.Args) == 2 && os.Args[1] == "bodies" {
		failed = bodies()
	} else {
		fmt.Fprintln(os.Stderr, "usage: client drive URL | client bodies")
		os.Exit(2)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// as returns a body from its JSON.
func as[Model any](text string) *Model {
	model := new(Model)
	if err := json.Unmarshal([]byte(text), model); err != nil {
		panic(err)
	}
	return model
}

func drive(address string) int {
	parsed, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	login, _ := parsed.User.Password()
	grafana := api.NewHTTPClientWithConfig(strfmt.Default, &api.TransportConfig{
		Host: parsed.Host, BasePath: "/api", Schemes: []string{parsed.Scheme},
		BasicAuth: url.UserPassword(parsed.User.Username(), login),
	})
	failed := 0
	for _, step := range steps(grafana) {
		answer, err := step.call()
		if err == nil {
			if model, ok := payload(answer).(validated); ok {
				err = model.Validate(strfmt.Default)
				if err != nil && strings.Contains(err.Error(), neverSent[step.name]) && neverSent[step.name] != "" {
					err = nil
				}
			}
		}
		if err != nil && step.code != 0 {
			if status, ok := err.(interface{ IsCode(int) bool }); ok && status.IsCode(step.code) {
				err = nil
			} else if status, ok := err.(*runtime.APIError); ok && (status.Code == step.code || status.Code == newer[step.name]) {
				err = nil
			}
		} else if err == nil && step.code != 0 {
			err = fmt.Errorf("was accepted, %d expected", step.code)
		}
		if err != nil {
			failed++
			fmt.Printf("%s: %v\n", step.name, err)
		}
	}
	fmt.Printf("%d operations, %d failed\n", len(steps(grafana)), failed)
	return failed
}

// payload returns the content of an answer, if there is any.
func payload(answer any) any {
	getter := reflect.ValueOf(answer).MethodByName("GetPayload")
	if !getter.IsValid() {
		return nil
	}
	return getter.Call(nil)[0].Interface()
}

// neverSent are fields that the client's models require of an answer, but that a real server does
// not send (exchanges.jsonl).
var neverSent = map[string]string{"save dashboard": "title in body is required"}

// newer are the status codes of servers from 13.1 on.
var newer = map[string]int{"save it again": 409}

type step struct {
	name string
	// The expected status of an error, or 0.
	code int
	call func() (any, error)
}

const rule = `{"uid": "r1", "title": "Rule", "ruleGroup": "g", "folderUID": "f", "orgID": 1, "condition": "B",
 "noDataState": "NoData", "execErrState": "Error", "for": "5m", "labels": {"a": "b"}, "data": [
 {"refId": "A", "datasourceUid": "p", "relativeTimeRange": {"from": 600, "to": 0}, "model": {"expr": "up"}},
 {"refId": "B", "datasourceUid": "__expr__", "model": {"type": "threshold", "expression": "A"}}]}`

const point = `{"uid": "c", "name": "discord", "type": "discord", "settings": {"url": "http://127.0.0.1/x"}}`

func steps(grafana *api.GrafanaHTTPAPI) []step {
	format := "json"
	yes := true
	accounts, rules := grafana.ServiceAccounts, grafana.Provisioning
	return []step{
		{"health", 0, func() (any, error) { return grafana.Health.GetHealth() }},
		{"org", 0, func() (any, error) { return grafana.Org.GetCurrentOrg() }},
		{"user", 0, func() (any, error) { return grafana.SignedInUser.GetSignedInUser() }},
		{"add datasource", 0, func() (any, error) {
			return grafana.Datasources.AddDataSource(as[models.AddDataSourceCommand](
				`{"name": "P", "uid": "p", "type": "prometheus", "access": "proxy", "url": "http://127.0.0.1:9",
				 "jsonData": {"httpMethod": "POST"}, "secureJsonData": {"x": "y"}, "isDefault": true}`))
		}},
		{"add it again", 409, func() (any, error) {
			return grafana.Datasources.AddDataSource(as[models.AddDataSourceCommand](
				`{"name": "P", "uid": "p", "type": "prometheus", "access": "proxy", "url": "http://127.0.0.1:9"}`))
		}},
		{"update datasource", 0, func() (any, error) {
			return grafana.Datasources.UpdateDataSourceByUID("p", as[models.UpdateDataSourceCommand](
				`{"name": "P", "uid": "p", "type": "prometheus", "access": "proxy", "url": "http://127.0.0.1:9"}`))
		}},
		{"datasource", 0, func() (any, error) { return grafana.Datasources.GetDataSourceByUID("p") }},
		{"datasource by name", 0, func() (any, error) { return grafana.Datasources.GetDataSourceByName("P") }},
		{"missing datasource", 404, func() (any, error) { return grafana.Datasources.GetDataSourceByUID("no") }},
		{"datasources", 0, func() (any, error) { return grafana.Datasources.GetDataSources() }},
		{"health of datasource", 400, func() (any, error) { return grafana.Datasources.CheckDatasourceHealthWithUID("p") }},
		{"create folder", 0, func() (any, error) {
			return grafana.Folders.CreateFolder(as[models.CreateFolderCommand](`{"uid": "f", "title": "F"}`))
		}},
		{"create nested folder", 0, func() (any, error) {
			return grafana.Folders.CreateFolder(as[models.CreateFolderCommand](
				`{"uid": "n", "title": "N", "parentUid": "f", "description": "d"}`))
		}},
		{"folder", 0, func() (any, error) { return grafana.Folders.GetFolderByUID("n") }},
		{"missing folder", 404, func() (any, error) { return grafana.Folders.GetFolderByUID("no") }},
		{"folders", 0, func() (any, error) { return grafana.Folders.GetFolders(folders.NewGetFoldersParams()) }},
		{"update folder without version", 412, func() (any, error) {
			return grafana.Folders.UpdateFolder("n", as[models.UpdateFolderCommand](`{"title": "N"}`))
		}},
		{"update folder", 0, func() (any, error) {
			return grafana.Folders.UpdateFolder("n", as[models.UpdateFolderCommand](`{"title": "N", "overwrite": true}`))
		}},
		{"move folder", 0, func() (any, error) {
			return grafana.Folders.MoveFolder("n", as[models.MoveFolderCommand](`{"parentUid": ""}`))
		}},
		{"counts", 0, func() (any, error) { return grafana.Folders.GetFolderDescendantCounts("f") }},
		{"save dashboard", 0, func() (any, error) {
			return grafana.Dashboards.PostDashboard(as[models.SaveDashboardCommand](
				`{"dashboard": {"uid": "d", "title": "D", "panels": [], "schemaVersion": 41}, "folderUid": "f"}`))
		}},
		{"save it again", 412, func() (any, error) {
			return grafana.Dashboards.PostDashboard(as[models.SaveDashboardCommand](
				`{"dashboard": {"uid": "d", "title": "D"}, "folderUid": "f"}`))
		}},
		{"dashboard", 0, func() (any, error) { return grafana.Dashboards.GetDashboardByUID("d") }},
		{"missing dashboard", 404, func() (any, error) { return grafana.Dashboards.GetDashboardByUID("no") }},
		{"search", 0, func() (any, error) { return grafana.Search.Search(search.NewSearchParams()) }},
		{"put template", 0, func() (any, error) {
			return rules.PutTemplate(provisioning.NewPutTemplateParams().WithName("t").WithBody(
				as[models.NotificationTemplateContent](`{"template": "{{ define \"t\" }}x{{ end }}"}`)))
		}},
		{"template", 0, func() (any, error) { return rules.GetTemplate("t") }},
		{"templates", 0, func() (any, error) { return rules.GetTemplates() }},
		{"missing template", 404, func() (any, error) { return rules.GetTemplate("no") }},
		{"create mute timing", 0, func() (any, error) {
			return rules.PostMuteTiming(provisioning.NewPostMuteTimingParams().WithBody(as[models.MuteTimeInterval](
				`{"name": "m", "time_intervals": [{"weekdays": ["monday"], "months": ["may:june"], "location": "UTC",
				 "times": [{"start_time": "01:00", "end_time": "02:00"}], "days_of_month": ["1:5", "-1"]}]}`)))
		}},
		{"update mute timing", 0, func() (any, error) {
			return rules.PutMuteTiming(provisioning.NewPutMuteTimingParams().WithName("m").WithBody(
				as[models.MuteTimeInterval](`{"name": "m", "time_intervals": [{"weekdays": ["monday:friday"]}]}`)))
		}},
		{"mute timing", 0, func() (any, error) { return rules.GetMuteTiming("m") }},
		{"mute timings", 0, func() (any, error) { return rules.GetMuteTimings() }},
		{"create contact point", 0, func() (any, error) {
			return rules.PostContactpoints(provisioning.NewPostContactpointsParams().WithBody(
				as[models.EmbeddedContactPoint](point)))
		}},
		{"update contact point", 0, func() (any, error) {
			return rules.PutContactpoint(provisioning.NewPutContactpointParams().WithUID("c").WithBody(
				as[models.EmbeddedContactPoint](point)))
		}},
		{"contact points", 0, func() (any, error) { return rules.GetContactpoints(provisioning.NewGetContactpointsParams()) }},
		{"export contact points", 0, func() (any, error) {
			return rules.GetContactpointsExport(
				provisioning.NewGetContactpointsExportParams().WithFormat(&format).WithDecrypt(&yes))
		}},
		{"put policies", 0, func() (any, error) {
			return rules.PutPolicyTree(provisioning.NewPutPolicyTreeParams().WithBody(as[models.Route](
				`{"receiver": "discord", "group_by": ["alertname"], "group_wait": "90s", "routes": [{"receiver": "discord",
				 "object_matchers": [["severity", "=~", "a|b"]], "mute_time_intervals": ["m"], "continue": true}]}`)))
		}},
		{"put broken policies", 400, func() (any, error) {
			return rules.PutPolicyTree(provisioning.NewPutPolicyTreeParams().WithBody(
				as[models.Route](`{"receiver": "no"}`)))
		}},
		{"policies", 0, func() (any, error) { return rules.GetPolicyTree() }},
		{"export policies", 0, func() (any, error) { return rules.GetPolicyTreeExport() }},
		{"create rule", 0, func() (any, error) {
			return rules.PostAlertRule(provisioning.NewPostAlertRuleParams().WithBody(as[models.ProvisionedAlertRule](rule)))
		}},
		{"update rule", 0, func() (any, error) {
			return rules.PutAlertRule(provisioning.NewPutAlertRuleParams().WithUID("r1").WithBody(
				as[models.ProvisionedAlertRule](rule)))
		}},
		{"rule", 0, func() (any, error) { return rules.GetAlertRule("r1") }},
		{"missing rule", 404, func() (any, error) { return rules.GetAlertRule("no") }},
		{"rules", 0, func() (any, error) { return rules.GetAlertRules() }},
		{"put group", 0, func() (any, error) {
			return rules.PutAlertRuleGroup(provisioning.NewPutAlertRuleGroupParams().WithFolderUID("f").WithGroup("g").WithBody(
				as[models.AlertRuleGroup](`{"title": "g", "folderUid": "f", "interval": 60, "rules": [` + rule + `]}`)))
		}},
		{"group", 0, func() (any, error) { return rules.GetAlertRuleGroup("g", "f") }},
		{"export rules", 0, func() (any, error) {
			return rules.GetAlertRulesExport(provisioning.NewGetAlertRulesExportParams().WithFormat(&format))
		}},
		{"export group", 0, func() (any, error) {
			return rules.GetAlertRuleGroupExport(
				provisioning.NewGetAlertRuleGroupExportParams().WithFolderUID("f").WithGroup("g").WithFormat(&format))
		}},
		{"delete folder with rules", 400, func() (any, error) {
			return grafana.Folders.DeleteFolder(folders.NewDeleteFolderParams().WithFolderUID("f"))
		}},
		{"delete group", 0, func() (any, error) { return rules.DeleteAlertRuleGroup("g", "f") }},
		{"delete rule", 0, func() (any, error) {
			return rules.DeleteAlertRule(provisioning.NewDeleteAlertRuleParams().WithUID("r1"))
		}},
		{"reset policies", 0, func() (any, error) { return rules.ResetPolicyTree() }},
		{"delete contact point", 0, func() (any, error) { return rules.DeleteContactpoints("c") }},
		{"delete mute timing", 0, func() (any, error) {
			return rules.DeleteMuteTiming(provisioning.NewDeleteMuteTimingParams().WithName("m"))
		}},
		{"delete template", 0, func() (any, error) {
			return rules.DeleteTemplate(provisioning.NewDeleteTemplateParams().WithName("t"))
		}},
		{"delete dashboard", 0, func() (any, error) { return grafana.Dashboards.DeleteDashboardByUID("d") }},
		{"delete datasource", 0, func() (any, error) { return grafana.Datasources.DeleteDataSourceByUID("p") }},
		{"delete folder", 0, func() (any, error) {
			return grafana.Folders.DeleteFolder(folders.NewDeleteFolderParams().WithFolderUID("f"))
		}},
		{"create service account", 0, func() (any, error) {
			return accounts.CreateServiceAccount(service_accounts.NewCreateServiceAccountParams().WithBody(
				as[models.CreateServiceAccountForm](`{"name": "ci", "role": "Editor"}`)))
		}},
		{"service accounts", 0, func() (any, error) {
			return accounts.SearchOrgServiceAccountsWithPaging(
				service_accounts.NewSearchOrgServiceAccountsWithPagingParams())
		}},
		{"service account", 0, func() (any, error) { return accounts.RetrieveServiceAccount(1) }},
		{"create token", 0, func() (any, error) {
			return accounts.CreateToken(service_accounts.NewCreateTokenParams().WithServiceAccountID(1).WithBody(
				as[models.AddServiceAccountTokenCommand](`{"name": "t"}`)))
		}},
		{"tokens", 0, func() (any, error) { return accounts.ListTokens(1) }},
		{"delete token", 0, func() (any, error) { return accounts.DeleteToken(1, 1) }},
		{"delete service account", 0, func() (any, error) { return accounts.DeleteServiceAccount(1) }},
	}
}

// bodyModels are the models of the bodies of writes.
var bodyModels = []struct {
	method, path string
	model        func() validated
}{
	{"POST", `^/api/datasources$`, func() validated { return new(models.AddDataSourceCommand) }},
	{"PUT", `^/api/datasources/uid/[^/]+$`, func() validated { return new(models.UpdateDataSourceCommand) }},
	{"POST", `^/api/folders$`, func() validated { return new(models.CreateFolderCommand) }},
	{"PUT", `^/api/folders/[^/]+$`, func() validated { return new(models.UpdateFolderCommand) }},
	{"POST", `^/api/folders/[^/]+/move$`, func() validated { return new(models.MoveFolderCommand) }},
	{"POST", `^/api/library-elements$`, func() validated { return new(models.CreateLibraryElementCommand) }},
	{"PATCH", `^/api/library-elements/[^/]+$`, func() validated { return new(models.PatchLibraryElementCommand) }},
	{"POST", `^/api/dashboards/db$`, func() validated { return new(models.SaveDashboardCommand) }},
	{"PUT", `^/api/v1/provisioning/templates/[^/]+$`, func() validated { return new(models.NotificationTemplateContent) }},
	{"POST", `^/api/v1/provisioning/mute-timings$`, func() validated { return new(models.MuteTimeInterval) }},
	{"PUT", `^/api/v1/provisioning/mute-timings/[^/]+$`, func() validated { return new(models.MuteTimeInterval) }},
	{"POST", `^/api/v1/provisioning/contact-points$`, func() validated { return new(models.EmbeddedContactPoint) }},
	{"PUT", `^/api/v1/provisioning/contact-points/[^/]+$`, func() validated { return new(models.EmbeddedContactPoint) }},
	{"PUT", `^/api/v1/provisioning/policies$`, func() validated { return new(models.Route) }},
	{"POST", `^/api/v1/provisioning/alert-rules$`, func() validated { return new(models.ProvisionedAlertRule) }},
	{"PUT", `^/api/v1/provisioning/alert-rules/[^/]+$`, func() validated { return new(models.ProvisionedAlertRule) }},
	{"PUT", `^/api/v1/provisioning/folder/[^/]+/rule-groups/[^/]+$`, func() validated { return new(models.AlertRuleGroup) }},
	{"POST", `^/api/serviceaccounts$`, func() validated { return new(models.CreateServiceAccountForm) }},
	{"POST", `^/api/serviceaccounts/\d+/tokens$`, func() validated { return new(models.AddServiceAccountTokenCommand) }},
}

func bodies() int {
	count, failed := 0, 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct{ Method, Path, Body string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			panic(err)
		}
		if line.Method == "GET" || line.Method == "DELETE" {
			continue
		}
		count++
		if err := check(line.Method, line.Path, line.Body); err != nil {
			failed++
			fmt.Printf("%s %s: %v\n", line.Method, line.Path, err)
		}
	}
	fmt.Printf("%d bodies, %d failed\n", count, failed)
	return failed
}

// overlooked are errors of the client's models that the server ignores: a rule belongs to the
// organization of the request, whatever its own field.
var overlooked = regexp.MustCompile(`^(validation failure list:|(rules\.\d+\.)?orgID in body is required)$`)

// remaining returns a failed validation without the overlooked errors.
func remaining(err error) error {
	var lines []string
	for _, line := range strings.Split(err.Error(), "\n") {
		if !overlooked.MatchString(line) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(lines, " "))
}

func check(method, path, body string) error {
	for _, entry := range bodyModels {
		if entry.method != method || !regexp.MustCompile(entry.path).MatchString(path) {
			continue
		}
		model := entry.model()
		decoder := json.NewDecoder(bytes.NewReader([]byte(body)))
		// The server would ignore a field that Grafana's own client does not have.
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(model); err != nil {
			return err
		}
		if err := model.Validate(strfmt.Default); err != nil {
			return remaining(err)
		}
		return nil
	}
	return fmt.Errorf("no model of the client for it")
}
