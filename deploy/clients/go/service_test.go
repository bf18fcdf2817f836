package countersign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const lag = 400 * time.Millisecond

// service is a running daemon: COUNTERSIGN_PROGRAM names the program.
type service struct {
	t                    *testing.T
	program, store, port string
	process              *exec.Cmd
	credentials          Credentials
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

func begin(t *testing.T) *service {
	t.Helper()
	program := os.Getenv("COUNTERSIGN_PROGRAM")
	if program == "" {
		t.Skip("COUNTERSIGN_PROGRAM names no program")
	}
	service := &service{t: t, program: program, store: t.TempDir() + "/store", port: freePort(t)}
	service.start()
	t.Cleanup(service.stop)
	client := service.made("client", "create", "--name", "go", "--may", "introspect", "--may", "changes")
	service.credentials = Credentials{client["client_id"], client["client_secret"]}
	return service
}

func (service *service) url() string { return "http://127.0.0.1:" + service.port }

func (service *service) start() {
	service.t.Helper()
	service.process = exec.Command(service.program, "serve", "--store", service.store, "--listen", service.url())
	// Also when the test itself is killed.
	service.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := service.process.Start(); err != nil {
		service.t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if response, err := http.Get(service.url() + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == 200 {
				return
			}
		}
	}
	service.t.Fatal("the service does not become ready")
}

func (service *service) stop() {
	_ = service.process.Process.Signal(syscall.SIGTERM)
	_ = service.process.Wait()
}

// made runs a command that prints an object.
func (service *service) made(words ...string) map[string]string {
	service.t.Helper()
	out, err := exec.Command(service.program, append(words, "--json", "--store", service.store)...).Output()
	if err != nil {
		service.t.Fatalf("%v: %v", words, err)
	}
	var object map[string]any
	if err := json.Unmarshal(out, &object); err != nil {
		service.t.Fatal(err)
	}
	texts := map[string]string{}
	for name, value := range object {
		if text, isText := value.(string); isText {
			texts[name] = text
		}
	}
	return texts
}

func (service *service) key(words ...string) map[string]string {
	service.t.Helper()
	return service.made(append([]string{"key", "create", "--owner", "acme"}, words...)...)
}

func (service *service) revoke(key map[string]string) {
	service.t.Helper()
	if err := exec.Command(service.program, "key", "revoke", key["id"], "--store", service.store).Run(); err != nil {
		service.t.Fatal(err)
	}
}

func (service *service) client(change func(*Options)) *Client {
	service.t.Helper()
	options := Options{Endpoints: []string{service.url()}, Credentials: service.credentials, Log: func(string) {}}
	if change != nil {
		change(&options)
	}
	client, err := New(options)
	if err != nil {
		service.t.Fatal(err)
	}
	service.t.Cleanup(client.Close)
	return client
}

func verify(t *testing.T, client *Client, text string, requirement Requirement) Verdict {
	t.Helper()
	verdict, err := client.Verify(context.Background(), text, requirement)
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func TestVerdicts(t *testing.T) {
	service := begin(t)
	client, key := service.client(nil), service.key("--scope", "orders:read orders:write")
	verdict := verify(t, client, key["key"], Requirement{Scopes: []string{"orders:read"}})
	if !verdict.Active || verdict.Identity.Subject != "acme" || verdict.Identity.ID != key["id"] || verdict.Identity.Kind != APIKey {
		t.Errorf("%+v", verdict)
	}
	if reason := verify(t, client, key["key"], Requirement{Scopes: []string{"orders:delete"}}).Reason; reason != "insufficient_scope" {
		t.Error(reason)
	}
	if reason := verify(t, client, "nonsense \xff", Requirement{}).Reason; reason != "malformed" {
		t.Error(reason)
	}
	limited := service.key("--network", "10.0.0.0/8")
	if verify(t, client, limited["key"], Requirement{}).Active || !verify(t, client, limited["key"], Requirement{ClientIP: "10.1.2.3"}).Active {
		t.Error("a network limit")
	}
	verdicts, err := client.VerifyAll(context.Background(), []string{key["key"], "nonsense", key["key"]}, Requirement{})
	if err != nil || len(verdicts) != 3 || !verdicts[0].Active || verdicts[1].Active || !verdicts[2].Active {
		t.Errorf("%+v %v", verdicts, err)
	}
	for _, many := range [][]string{make([]string, 1001), {strings.Repeat("a", 1<<20)}} {
		if _, err := client.VerifyAll(context.Background(), many, Requirement{}); !errors.Is(err, ErrQuestionRefused) {
			t.Error(err)
		}
	}
	service.revoke(key)
	if reason := verify(t, client, key["key"], Requirement{}).Reason; reason != "revoked" {
		t.Error(reason)
	}
}

func TestFailuresSayNothingAboutTheCredential(t *testing.T) {
	service := begin(t)
	key := service.key()["key"]
	fails := func(client *Client, requirement Requirement, expected error) {
		t.Helper()
		_, err := client.Verify(context.Background(), key, requirement)
		if !errors.Is(err, expected) || strings.Contains(fmt.Sprintf("%v %+v", err, err), key) {
			t.Error(err)
		}
	}
	fails(service.client(func(options *Options) { options.Credentials.secret = "wrong" }), Requirement{}, ErrCallerRefused)
	fails(service.client(nil), Requirement{ClientIP: "here"}, ErrQuestionRefused)
	fails(service.client(func(options *Options) { options.Endpoints = []string{"http://127.0.0.1:" + freePort(t)} }), Requirement{}, ErrUnavailable)

	// One that is silent, and one that trickles.
	for _, head := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			defer connection.Close()
			_, _ = connection.Read(make([]byte, 65_536))
			for _, err = connection.Write([]byte(head)); err == nil && head != ""; time.Sleep(50 * time.Millisecond) {
				_, err = connection.Write([]byte(" "))
			}
			time.Sleep(2 * time.Second)
		}()
		begun := time.Now()
		fails(service.client(func(options *Options) {
			options.Endpoints, options.Deadline = []string{"http://" + listener.Addr().String()}, 500*time.Millisecond
		}), Requirement{}, ErrUnavailable)
		if time.Since(begun) > 2*time.Second {
			t.Error(time.Since(begun))
		}
		listener.Close()
	}

	client := service.client(func(options *Options) { options.Endpoints = []string{"http://127.0.0.1:" + freePort(t), service.url()} })
	if !verify(t, client, key, Requirement{}).Active || client.nodes.preferred.Load() != 1 {
		t.Error("the other node was not asked")
	}
}

func TestManyAtOnceAndClosedConnections(t *testing.T) {
	service := begin(t)
	client, key := service.client(nil), service.key()["key"]
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := 0; round < 50; round++ {
				if verdict, err := client.Verify(context.Background(), key, Requirement{}); err != nil || !verdict.Active {
					t.Error(verdict, err)
				}
			}
		}()
	}
	group.Wait()
	service.stop()
	service.start()
	if !verify(t, client, key, Requirement{}).Active {
		t.Error("a connection that the service has closed")
	}
}

func TestNothingIsAcceptedLaterThanTheLag(t *testing.T) {
	service := begin(t)
	client := service.client(func(options *Options) { options.Cache = &CacheOptions{Lag: lag} })
	follows := func() {
		for end := time.Now().Add(10 * time.Second); !client.UsesCache(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("changes are not followed")
			}
		}
	}
	follows()
	for round := 0; round < 5; round++ {
		key := service.key()
		for client.cache.count() == 0 {
			verify(t, client, key["key"], Requirement{})
		}
		first := verify(t, client, key["key"], Requirement{}).Identity
		for hit := 0; hit < 50; hit++ {
			cached := verify(t, client, key["key"], Requirement{}).Identity
			if cached.ID != first.ID || client.cache.count() != 1 {
				t.Fatal("it did not come from the cache")
			}
			// What a caller does with it stays with the caller.
			cached.ID, cached.Scopes = "another", append(cached.Scopes, "admin")
		}
		service.revoke(key)
		for returned := time.Now(); time.Since(returned) < lag; {
			verify(t, client, key["key"], Requirement{})
		}
		if verify(t, client, key["key"], Requirement{}).Active {
			t.Fatal("accepted after the lag")
		}
	}

	key := service.key()
	for client.cache.count() == 0 {
		verify(t, client, key["key"], Requirement{})
	}
	service.stop()
	time.Sleep(lag)
	if _, err := client.Verify(context.Background(), key["key"], Requirement{}); !errors.Is(err, ErrUnavailable) || client.UsesCache() {
		t.Error("something is proven without a feed", err)
	}
	// Revoked while nobody listened.
	service.revoke(key)
	service.start()
	follows()
	if verify(t, client, key["key"], Requirement{}).Active {
		t.Error("accepted from before")
	}
}

func TestGuard(t *testing.T) {
	service := begin(t)
	guard := Guard{Client: service.client(nil), Scopes: []string{"orders:read"}}
	handler := guard.Wrap(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(writer, "%s %s %s", FromContext(request.Context()).Subject, request.URL.RawQuery, request.RequestURI)
	}))
	right, wrong := service.key("--scope", "orders:read"), service.key()
	near := service.key("--scope", "orders:read", "--network", "192.0.2.0/24")
	ask := func(handler http.Handler, target string, fields ...string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodGet, target, nil)
		request.RemoteAddr = "192.0.2.1:5"
		for _, field := range fields {
			request.Header.Add("Authorization", field)
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return recorder
	}
	if body := ask(handler, "/", "ApiKey "+right["key"]).Body.String(); body != "acme  /" {
		t.Error(body)
	}
	if body := ask(handler, "/x?a=1&api_key="+near["key"]).Body.String(); body != "acme a=1 /x?a=1" {
		t.Error(body)
	}
	for _, refused := range []struct {
		fields []string
		status int
	}{
		{nil, 401}, {[]string{"ApiKey " + wrong["key"]}, 403}, {[]string{"ApiKey nonsense"}, 401}, {[]string{"Bearer " + right["key"]}, 401},
		{[]string{"ApiKey a,b"}, 400}, {[]string{"ApiKey " + right["key"], "ApiKey " + right["key"]}, 400},
	} {
		answer := ask(handler, "/", refused.fields...)
		if answer.Code != refused.status || !strings.HasPrefix(answer.Header().Get("WWW-Authenticate"), "Bearer realm=") {
			t.Error(refused.status, answer.Code, answer.Header())
		}
	}
	away := Guard{Client: service.client(func(options *Options) { options.Endpoints = []string{"http://127.0.0.1:" + freePort(t)} })}
	if answer := ask(away.Wrap(handler), "/", "ApiKey "+right["key"]); answer.Code != 503 || answer.Header().Get("Retry-After") != "1" {
		t.Error(answer.Code, answer.Header())
	}
}

func BenchmarkCachedVerification(b *testing.B) {
	cache, err := newCache(CacheOptions{})
	if err != nil {
		b.Fatal(err)
	}
	client := &Client{nodes: &nodes{}, cache: cache}
	now := time.Now()
	cache.begin(position{"1", 1}, now)
	cache.provenUntil = now.Add(time.Hour)
	text := strings.Repeat("k", 66)
	cache.keep(&Identity{ID: "id"}, cache.key(text, Requirement{}), position{"1", 1}, true, now.Add(time.Hour))
	b.ResetTimer()
	for index := 0; index < b.N; index++ {
		if verdict, err := client.Verify(context.Background(), text, Requirement{}); err != nil || !verdict.Active {
			b.Fatal(err)
		}
	}
}
