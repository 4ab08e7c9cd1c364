package store

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/store/database"
	"github.com/parley-im/parley/internal/testkit"
)

// planned are the statements whose time must not grow with the store, and the index that must carry each ("": its table's own key).
func planned() map[string]struct {
	q     database.Text
	index string
} {
	type p = struct {
		q     database.Text
		index string
	}
	return map[string]p{
		"scene":             {selectRoom, ""},
		"own row":           {selectMember, ""},
		"events":            {selectEvents, ""},
		"members":           {listMembers, ""},
		"owners":            {selectOwners, "members_owners"},
		"mentions":          {countMentions, ""},
		"older messages":    {older.room, ""},
		"newer messages":    {newer.room, ""},
		"older replies":     {older.thread, "events_thread"},
		"newer replies":     {newer.thread, "events_thread"},
		"stored messages":   {selectStored, ""},
		"reactions":         {sumReactions, ""},
		"known client_ids":  {selectKnown, "events_client_id"},
		"redaction":         {redactEdited, "events_target"},
		"inbox":             {listInbox, "members_user"},
		"inbox since":       {listInboxSince, "members_user"},
		"removed":           {listRemoved, "members_user"},
		"scenes":            {selectScenes, ""},
		"own rows":          {selectOwnRows, "members_user"},
		"mentions of rooms": {countAllMentions, "members_user"},
		"memberships":       {selectMemberships, "members_user"},
		"followed":          {selectFollowed, "members_user"},
		"channels":          {listChannels, "rooms_channels"},
		"bans":              {selectBans, "members_user"},
		"changed heads":     {changedHeads, "room_heads_changed"},
		"changed members":   {changedMembers, "members_changed"},
		"users":             {selectUsers, ""},
		"user search":       {searchUsers, "users_folded"},
		"user search by id": {searchUsers, "users_id"},
		"sessions of users": {sessionsOf, ""},
		"live sessions":     {liveSessions, ""},
		"swept sessions":    {sweepSessions, "sessions_node"},
		"swept nodes":       {sweepNodes, "sessions_node"},
		"ended sessions":    {deleteSessions, ""},
		"revocations":       {revocationsOf, ""},
		"recent rooms":      {recentPlaces, "members_user"},
		"rooms behind":      {selectBehind, "room_heads_behind"},
		"users of the dead": {upsertLost, "sessions_node"},
		"who sees whom":     {selectVisible, "members_user"},
		"invisible of some": {selectInvisibleOf, ""},
		"changed messages":  {selectChanges, ""},
		"moved marks":       {moveMark, ""},
		"rooms due":         {selectDue, "rooms_due"},
		"expired events":    {selectExpired, ""},
		"kept ids":          {keepIDs, ""},
		"pruned events":     {pruneEvents, ""},
		"pruned reactions":  {pruneReactions, ""},
		"pruned members":    {pruneMembers, ""},
		"forgotten ids":     {forgetIDs, "kept_ids_at"},
		"forgotten members": {forgetMembers, "members_gone"},
		"message numbers":   {selectNumbers, ""},
		"made jobs":         {makeJobs, ""},
		"next sink":         {nextSink, ""},
		"lines":             {selectLines, ""},
		"jobs":              {selectJobs, ""},
		"done jobs":         {dropJobs, ""},
		"replayed rooms":    {selectGrown, ""},
		"replayed events":   {selectSince, ""},
	}
}

// small is what may be read whole: tables of a few rows, and under the names p, a and b what a subquery has found; n stands for nodes, s for sinks and r for what a recursion has found.
var small = regexp.MustCompile(`\b(json_each|jsonb_array_elements\w*|tick|auth_mark|nodes|sinks)\b|^SCAN ([pabnsr]|CONSTANT ROW)$`)

func TestPlans(t *testing.T) {
	engines := map[string]func(t *testing.T) string{
		"SQLite": func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "parley.db") },
		"PostgreSQL": func(t *testing.T) string {
			return testkit.StartPostgres(t, "fsync=off", "enable_seqscan=off", "plan_cache_mode=force_generic_plan").Database(t)
		},
	}
	for engine, database := range engines {
		t.Run(engine, func(t *testing.T) {
			s, err := Open(t.Context(), Options{URL: database(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for name, p := range planned() {
				plan, err := explain(t, s, p.q)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if p.index != "" && !strings.Contains(plan, p.index) {
					t.Errorf("%s does not use %s:\n%s", name, p.index, plan)
				}
				for line := range strings.Lines(plan) {
					line = strings.TrimSpace(line)
					if whole := strings.HasPrefix(line, "SCAN ") || strings.Contains(line, "Seq Scan"); whole && !small.MatchString(line) {
						t.Errorf("%s reads a table whole:\n%s", name, plan)
					}
				}
			}
		})
	}
}

var parameter = regexp.MustCompile(`\$(\d)`)

// explain is the plan of a statement, one step a line.
func explain(t *testing.T, s *Store, q database.Text) (string, error) {
	t.Helper()
	params := 0
	for _, found := range parameter.FindAllStringSubmatch(q[database.SQLite], -1) {
		params = max(params, int(found[1][0]-'0'))
	}
	var plan strings.Builder
	err := s.engine.Read(t.Context(), func(x database.Tx) error {
		if s.engine.Dialect() == database.SQLite {
			return x.Query(t.Context(), database.Text{database.SQLite: `EXPLAIN QUERY PLAN ` + q[database.SQLite]}, make([]any, params), func(scan database.Scan) error {
				var id, parent, unused int
				var detail string
				err := scan(&id, &parent, &unused, &detail)
				fmt.Fprintln(&plan, detail)
				return err
			})
		}
		if _, err := x.Exec(t.Context(), database.Text{database.Postgres: `PREPARE planned AS ` + q[database.Postgres]}); err != nil {
			return err
		}
		nulls := strings.TrimSuffix(strings.Repeat("NULL, ", params), ", ")
		err := x.Query(t.Context(), database.Text{database.Postgres: `EXPLAIN EXECUTE planned(` + nulls + `)`}, nil, func(scan database.Scan) error {
			line, err := scanString(scan)
			fmt.Fprintln(&plan, line)
			return err
		})
		if err != nil {
			return err
		}
		_, err = x.Exec(t.Context(), database.Text{database.Postgres: `DEALLOCATE planned`})
		return err
	})
	return plan.String(), err
}
