package countersign

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The vectors that the clients of all languages have in common. They need no service.
type vectors struct {
	Credentials []struct {
		Fields []string
		Query  string
		Is     string
		Text   string
		Rest   *string
	}
	Positions []struct {
		Field       string
		Incarnation *string
		Number      uint64
	}
	Challenges map[string]struct {
		Status     int
		Field      string
		Detail     string
		Scopes     []string
		RetryAfter int `json:"retry_after"`
	}
}

func read(t *testing.T) vectors {
	t.Helper()
	content, err := os.ReadFile("../vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var found vectors
	if err := json.Unmarshal(content, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCredentialOfARequest(t *testing.T) {
	for _, vector := range read(t).Credentials {
		found, why := find(vector.Fields, vector.Query)
		is := "none"
		if why != "" {
			is = "malformed"
		} else if found != nil {
			is = string(found.kind)
		}
		if is != vector.Is || (found != nil && found.text != vector.Text) {
			t.Errorf("%q %q: %s", vector.Fields, vector.Query, is)
		}
		if vector.Rest != nil && withoutKey(vector.Query) != *vector.Rest {
			t.Errorf("%q: %q", vector.Query, withoutKey(vector.Query))
		}
	}
}

func TestChallenges(t *testing.T) {
	expected := read(t).Challenges
	guard := Guard{Scopes: expected["insufficient_scope"].Scopes}
	for name, refusal := range map[string]*refusal{
		"missing":            guard.refusal(401, "a credential is required", ""),
		"invalid":            guard.refusal(401, "the credential is not accepted", `, error="invalid_token"`),
		"malformed":          guard.refusal(400, "why", `, error="invalid_request"`),
		"insufficient_scope": guard.insufficientScope(),
		"unavailable":        unavailableFor(7),
	} {
		recorder := httptest.NewRecorder()
		refusal.write(recorder, false)
		vector := expected[name]
		if recorder.Code != vector.Status || recorder.Header().Get("WWW-Authenticate") != vector.Field {
			t.Errorf("%s: %d %s", name, recorder.Code, recorder.Header())
		}
		if !strings.Contains(recorder.Body.String(), `"detail":"`+vector.Detail+`"`) {
			t.Errorf("%s: %s", name, recorder.Body)
		}
	}
	if value := (Guard{Realm: "a\"\\\r\nX: y"}).refusal(401, "", "").value; strings.ContainsAny(value, "\r\n") {
		t.Errorf("%q", value)
	}
}

func TestPositions(t *testing.T) {
	for _, vector := range read(t).Positions {
		found, isKnown := readPosition(vector.Field)
		if isKnown != (vector.Incarnation != nil) || (isKnown && (found.incarnation != *vector.Incarnation || found.number != vector.Number)) {
			t.Errorf("%q: %v %v", vector.Field, found, isKnown)
		}
	}
}

func TestWhatIsNotAsItShouldBeIsNotAccepted(t *testing.T) {
	whole := `{"active":true,"token_type":"ApiKey","jti":"0","sub":"acme","scope":"a b","iat":1}`
	accept := func(text string) bool {
		var found result
		if json.Unmarshal([]byte(text), &found) != nil {
			return false
		}
		verdict, err := found.verdict()
		return err == nil && verdict.Active
	}
	if !accept(whole) {
		t.Error(whole)
	}
	for _, change := range [][2]string{
		{`"active":true`, `"active":1`}, {`"active":true`, `"active":"true"`}, {`"active":true,`, ``}, {`"ApiKey"`, `"Cookie"`},
		{`"jti":"0",`, ``}, {`"sub":"acme"`, `"sub":null`}, {`"iat":1`, `"iat":"1"`}, {`"iat":1`, `"iat":1,"aud":5`},
		{`"iat":1`, `"iat":1,"aud":[5]`}, {`"iat":1`, `"iat":1,"exp":"9"`}, {`"scope":"a b",`, ``},
	} {
		if text := strings.Replace(whole, change[0], change[1], 1); accept(text) {
			t.Error(text)
		}
	}
}

// A clock of the test's own.
func TestCache(t *testing.T) {
	start := time.Unix(1_000, 0)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	fresh := func(through uint64) (*cache, cacheKey, *Identity) {
		cache, err := newCache(CacheOptions{Entries: 3})
		if err != nil {
			t.Fatal(err)
		}
		cache.begin(position{"1", through}, at(0))
		return cache, cache.key("text", Requirement{}), &Identity{ID: "id", ClientID: "app", Family: "f"}
	}
	has := func(cache *cache, key cacheKey, now float64, expected bool) {
		t.Helper()
		if (cache.find(key, at(now)) != nil) != expected {
			t.Errorf("at %v: %v", now, !expected)
		}
	}

	cache, key, identity := fresh(10)
	for _, decided := range []position{{"1", 9}, {"2", 10}} {
		cache.keep(identity, key, decided, true, at(0))
		has(cache, key, 0, false)
	}
	cache.keep(identity, key, position{"1", 10}, false, at(0))
	has(cache, key, 0, false)
	cache.keep(identity, key, position{"1", 10}, true, at(0))
	has(cache, key, 1.9, true)
	has(cache, key, 2, false)
	// A page that says there is more proves nothing.
	cache.apply(nil, 11, at(1.5), false)
	has(cache, key, 2, false)
	cache.apply(nil, 12, at(1.5), true)
	has(cache, key, 3.4, true)

	for _, named := range []change{{ID: "id"}, {ClientID: "app"}, {Family: "f"}, {Flush: true}} {
		cache, key, identity := fresh(10)
		cache.keep(identity, key, position{"1", 10}, true, at(0))
		cache.apply([]change{{ID: "another"}}, 11, at(0.5), true)
		has(cache, key, 1, true)
		cache.apply([]change{named}, 12, at(1), true)
		has(cache, key, 1, false)
	}

	cache, key, _ = fresh(10)
	ending := &Identity{ID: "id", ExpiresAt: start.Unix() + 1, NotBefore: start.Unix()}
	cache.keep(ending, key, position{"1", 10}, true, at(0))
	has(cache, key, 0.9, true)
	has(cache, key, 1, false)
	for _, other := range []string{"a", "b", "c", "d", "e"} {
		cache.keep(identity, cache.key(other, Requirement{}), position{"1", 10}, true, at(0))
	}
	if cache.count() != 3 {
		t.Error(cache.count())
	}
	cache.stop()
	cache.keep(identity, key, position{"1", 10}, true, at(0))
	has(cache, key, 0, false)
}

func TestNoTwoQuestionsHaveOneKey(t *testing.T) {
	cache, err := newCache(CacheOptions{})
	if err != nil {
		t.Fatal(err)
	}
	questions := []struct {
		text string
		need Requirement
	}{
		{"ab", Requirement{}}, {"a", Requirement{Audience: "b"}}, {"a", Requirement{ClientIP: "b"}}, {"a", Requirement{Scopes: []string{"b"}}},
		{"a", Requirement{Scopes: []string{"b", ""}}}, {"a", Requirement{Scopes: []string{"", "b"}}}, {"a1:b", Requirement{}},
		{"", Requirement{Scopes: []string{"a", "b"}}}, {"", Requirement{Scopes: []string{"ab"}}},
	}
	keys := map[cacheKey]bool{}
	for _, question := range questions {
		keys[cache.key(question.text, question.need)] = true
	}
	if len(keys) != len(questions) {
		t.Error(len(keys))
	}
}

func TestSettings(t *testing.T) {
	for _, text := range []string{"unix:/run/a.sock", "unix:/run/a.sock?may=introspect", "http://127.0.0.1:8080", "http://[::1]:1", "https://host"} {
		client, err := New(Options{Endpoints: []string{text}})
		if err != nil {
			t.Error(text, err)
			continue
		}
		client.Close()
	}
	for _, text := range []string{"", "unix:a", "unix:/" + strings.Repeat("a", 107), "http://host:80", "ftp://127.0.0.1", "https://u:p@host", "https://host/path"} {
		if _, err := New(Options{Endpoints: []string{text}}); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Error(text, err)
		}
	}
	path := t.TempDir() + "/client.json"
	write := func(content string, mode os.FileMode) error {
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := CredentialsFromFile(path)
		return err
	}
	right := `{"client_id": "app", "client_secret": "s_1"}`
	if err := write(right, 0o640); err != nil {
		t.Error(err)
	}
	for _, content := range []string{"", "[]", `{"client_id": "a"}`, `{"client_id": "a:b", "client_secret": "c"}`} {
		if write(content, 0o600) == nil {
			t.Error(content)
		}
	}
	if write(right, 0o644) == nil {
		t.Error("a file that everybody may read")
	}
	client, err := New(Options{Endpoints: []string{"http://127.0.0.1:1"}, Credentials: Credentials{"app", "s_1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", client, client, client), fmt.Sprintf("%v %#v", Credentials{"app", "s_1"}, Credentials{"app", "s_1"})} {
		if strings.Contains(text, "s_1") || strings.Contains(text, "Basic") {
			t.Error(text)
		}
	}
}

// A page that is short because the service has left out new keys is not the end.
func TestNothingIsProvenByAPageWithMoreBehindIt(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		number := asked.Add(1)
		fmt.Fprintf(writer, `{"incarnation":"1","changes":[],"next":%d,"more":%v}`, number, number > 1)
	}))
	defer server.Close()
	client, err := New(Options{Endpoints: []string{server.URL}, Cache: &CacheOptions{Lag: 200 * time.Millisecond}, Log: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for end := time.Now().Add(5 * time.Second); asked.Load() < 3 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	if client.UsesCache() {
		t.Error("proven by a page with more behind it")
	}
}
