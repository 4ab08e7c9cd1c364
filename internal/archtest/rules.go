package archtest

// tables are all that one edits here. The tests of the rules themselves bring their own.
type tables struct {
	layout     []row
	libraries  []library
	budget     budget
	vagueNames []string
	words      []string
	exceptions []exception
}

// A row says what one package may import outside its tests. Lists are separated by spaces.
type row struct {
	pkg     string // the package's folder, below the module's root
	imports string // the packages of this module; "*" is any
	libs    string // the libraries, by their names in the table of libraries; "*" is any
	without string // packages of the standard library that it may not import; "net/..." is net and all below
	tests   bool   // only tests and other packages with this mark may import it
}

// A library is a module that we depend on directly, and its short name in the rows.
type library struct{ name, path string }

// ours is the whole truth about this module.
var ours = tables{layout, libraries, limits, vagueNames, words, exceptions}

// What the core does without: it is told what has happened and says what follows.
const (
	sockets = "database/sql/... net net/http/... net/rpc/... net/smtp os/exec syscall plugin"
	files   = "os io/ioutil"
)

// layout is the map of the module, from the inside out. A row may stand here before its package does.
var layout = []row{
	// The contract with clients, and what is written against it alone.
	{pkg: "protocol", libs: "json", without: sockets + " " + files},
	{pkg: "protocol/examples", imports: "protocol", libs: "json"},
	{pkg: "protocol/gen", imports: "protocol protocol/examples internal/openapi", libs: "json"},
	{pkg: "docs"},
	{pkg: "docs/examples/feed/nats", libs: "nats"},
	{pkg: "client", imports: "protocol", libs: "json gobwas"},

	// The core and the contracts.
	{pkg: "internal/fault"},
	{pkg: "internal/tracing", libs: "otel", without: sockets + " " + files},
	{pkg: "internal/chat", imports: "protocol internal/tracing", libs: "json", without: sockets + " " + files},
	{pkg: "internal/delivery", imports: "protocol internal/chat internal/broker internal/tracing", libs: "json", without: sockets},
	{pkg: "internal/relay", imports: "protocol internal/chat internal/tracing", libs: "json", without: sockets},
	{pkg: "internal/feed", imports: "protocol internal/broker", without: sockets},
	{pkg: "internal/presence", imports: "protocol internal/chat internal/state", without: sockets},
	{pkg: "internal/retention", imports: "protocol", without: sockets},
	{pkg: "internal/rates", imports: "protocol internal/chat internal/state", without: sockets},
	{pkg: "internal/privacy", imports: "protocol internal/chat", libs: "json", without: sockets},
	{pkg: "internal/state", without: sockets + " " + files},
	{pkg: "internal/broker", imports: "protocol", libs: "json", without: sockets},

	// Adapters: one contract and its client library each.
	{pkg: "internal/broker/memory", imports: "internal/broker"},
	{pkg: "internal/state/memory", imports: "internal/state"},
	{pkg: "internal/state/redis", imports: "internal/state", libs: "rueidis"},
	{pkg: "internal/broker/nats", imports: "internal/broker", libs: "nats"},
	{pkg: "internal/broker/redis", imports: "internal/broker", libs: "rueidis"},
	{pkg: "internal/broker/rabbitmq", imports: "internal/broker", libs: "amqp091"},
	{pkg: "internal/broker/kafka", imports: "internal/broker", libs: "franz-go"},
	{
		pkg:     "internal/store",
		imports: "protocol internal/broker internal/chat internal/delivery internal/feed internal/presence internal/relay internal/retention internal/auth internal/fault internal/tracing internal/privacy internal/store/database internal/store/slots internal/store/words internal/cluster",
		libs:    "json uuid sync",
	},
	{pkg: "internal/store/database", imports: "internal/store/slots", libs: "json pgx sqlite goose"},
	{pkg: "internal/store/slots"},
	{
		pkg:     "internal/shards",
		imports: "protocol internal/chat internal/cluster internal/delivery internal/feed internal/presence internal/auth internal/privacy internal/store internal/store/database internal/store/slots internal/store/words",
		libs:    "pgx sync",
	},
	{pkg: "internal/store/words", imports: "internal/store/database", libs: "text"},

	// The edges.
	{pkg: "internal/cluster", libs: "json"},
	{pkg: "internal/gateway", imports: "protocol", libs: "json gobwas klauspost sys"},
	{pkg: "internal/egress"},
	{pkg: "internal/auth", imports: "protocol", libs: "json jose"},
	{
		pkg:     "internal/api",
		imports: "protocol internal/chat internal/delivery internal/presence internal/gateway internal/tracing internal/auth internal/privacy",
		libs:    "json",
	},
	{pkg: "internal/openapi", libs: "json"},
	{pkg: "internal/reference", imports: "protocol protocol/examples docs internal/openapi", libs: "json"},
	{pkg: "internal/logging", without: sockets + " " + files},
	{pkg: "internal/config", imports: "internal/broker", libs: "kong yaml"},
	{pkg: "internal/bench", imports: "protocol client internal/auth", libs: "json gobwas hdrhistogram isatty"},
	{pkg: "internal/backup", imports: "protocol internal/auth internal/store", libs: "json"},
	{pkg: "internal/doctor", imports: "protocol internal/auth internal/cluster internal/config internal/shards internal/store", libs: "sys"},
	{pkg: "internal/terminal", imports: "protocol client", libs: "json bubbletea lipgloss ansi"},
	{pkg: "web"},

	// The one that knows all the others, and the commands.
	{pkg: "internal/app", imports: "*", libs: "json prometheus otel otel-sdk otlp sync"},
	{
		pkg:     "cmd/parley",
		imports: "protocol client internal/app internal/auth internal/broker internal/feed internal/backup internal/bench internal/config internal/doctor internal/logging internal/relay internal/shards internal/store internal/terminal internal/privacy",
		libs:    "json kong yaml isatty",
	},

	{pkg: "scripts/cluster", libs: "nats-server"},

	// For tests.
	{pkg: "internal/broker/brokertest", imports: "protocol internal/broker internal/testkit", libs: "go-cmp goleak rapid", tests: true},
	{pkg: "internal/state/statetest", imports: "internal/state", libs: "go-cmp rapid", tests: true},
	{
		pkg:     "internal/store/storetest",
		imports: "protocol internal/chat internal/delivery internal/feed internal/relay internal/retention internal/presence internal/auth internal/store internal/testkit internal/privacy internal/cluster",
		libs:    "json go-cmp rapid pgx",
		tests:   true,
	},
	{pkg: "internal/testkit", imports: "*", libs: "json pgx sqlite nats nats-server go-cmp goleak coder-websocket", tests: true},
	{pkg: "internal/archtest", tests: true},
	{pkg: "e2e/fleet", imports: "protocol client e2e/history internal/auth internal/testkit", libs: "sys", tests: true},
	{pkg: "e2e/history", libs: "porcupine", without: sockets, tests: true},
	{pkg: "e2e", imports: "*", libs: "*", tests: true},
}

// libraries are the modules that code outside tests may import, where a row says so.
var libraries = []library{
	{"amqp091", "github.com/rabbitmq/amqp091-go"},
	{"ansi", "github.com/charmbracelet/x/ansi"},
	{"bubbletea", "charm.land/bubbletea/v2"},
	{"coder-websocket", "github.com/coder/websocket"},
	{"go-cmp", "github.com/google/go-cmp"},
	{"franz-go", "github.com/twmb/franz-go"},
	{"gobwas", "github.com/gobwas"},
	{"goleak", "go.uber.org/goleak"},
	{"goose", "github.com/pressly/goose/v3"},
	{"hdrhistogram", "github.com/HdrHistogram/hdrhistogram-go"},
	{"isatty", "github.com/mattn/go-isatty"},
	{"jose", "github.com/go-jose/go-jose/v4"},
	{"json", "github.com/go-json-experiment/json"},
	{"klauspost", "github.com/klauspost/compress"},
	{"kong", "github.com/alecthomas/kong"},
	{"lipgloss", "charm.land/lipgloss/v2"},
	{"nats", "github.com/nats-io/nats.go"},
	{"nats-server", "github.com/nats-io/nats-server/v2"},
	{"otel", "go.opentelemetry.io/otel"},
	{"otel-sdk", "go.opentelemetry.io/otel/sdk"},
	{"otlp", "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"},
	{"pgx", "github.com/jackc/pgx/v5"},
	{"porcupine", "github.com/anishathalye/porcupine"},
	{"prometheus", "github.com/prometheus/client_golang"},
	{"rapid", "pgregory.net/rapid"},
	{"rueidis", "github.com/redis/rueidis"},
	{"sqlite", "modernc.org/sqlite"},
	{"sync", "golang.org/x/sync"},
	{"sys", "golang.org/x/sys"},
	{"text", "golang.org/x/text"},
	{"uuid", "github.com/google/uuid"},
	{"yaml", "go.yaml.in/yaml/v3"},
}

// limits are the budgets. Files that a program wrote are under none.
var limits = budget{
	fileLines:        600,
	testFileLines:    1000,
	functionLines:    80,
	interfaceMethods: 8,
	structFields:     25,
	typeMethods:      40,
	packageLines:     6000, // tests apart
}

// vagueNames name nothing, and so collect everything: no package and no file may have one.
var vagueNames = []string{"common", "helper", "helpers", "manager", "misc", "util", "utils"}

// words may stand in no text of the repository but lock files: folders of one machine, and the registries that a lock
// file names. They are cut in two here because this file is read as well.
var words = []string{
	"/" + "work/",
	"/tmp/" + "brief",
	"." + "library/",
	"proxy." + "golang.org",
	"sum." + "golang.org",
	"registry." + "npmjs.org",
	"registry." + "yarnpkg.com",
	"pypi" + ".org",
}

// exceptions excuse what breaks a rule for a reason. One that excuses nothing any more must go.
//
//	{rule: ruleFunction, where: "internal/store.Store.Commit", upTo: 95, reason: "one transaction, told in order"},
//	{rule: ruleState, where: "internal/gateway.buffers", reason: "a pool of buffers for all connections of the process"},
var exceptions = []exception{}
