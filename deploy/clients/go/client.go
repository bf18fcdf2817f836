package countersign

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

const (
	credentialsMax   = 1000
	questionBytesMax = 1 << 20
	answerBytesMax   = 16 << 20
	connectionsMax   = 8
	deadlineUsed     = 2 * time.Second
	// Shorter than the service's own, so that it seldom closes a connection that is about to be used.
	idleMax = 60 * time.Second
)

// Options of a Client.
type Options struct {
	// Endpoints: where the service listens, and the other nodes of its fleet: unix:PATH, http://HOST:PORT on loopback, https://HOST:PORT.
	// One is used until it does not answer.
	Endpoints []string
	// Credentials of this program, with the right to introspect, and to changes for a cache. The zero value where the service lets
	// everybody ask who can open its socket.
	Credentials Credentials
	// Deadline for an answer, to its last byte; 0: two seconds.
	Deadline time.Duration
	// Cache is nil unless answers are to be used again: then a credential is accepted for up to its lag after its revocation has
	// returned. Without one, never.
	Cache *CacheOptions
	// CertificateAuthority is a PEM file; empty: those of the system.
	CertificateAuthority string
	// Log gets a line when the cache cannot follow the changes, and never a credential; nil: log.Print.
	Log func(string)
}

// Credentials of a program.
type Credentials struct {
	id, secret string
}

// String hides the secret.
func (Credentials) String() string { return "<redacted>" }

// GoString hides the secret.
func (Credentials) GoString() string { return "<redacted>" }

var plain = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// CredentialsFromFile reads what `countersign client create --json` has printed into a file, which nobody else may read or write.
func CredentialsFromFile(path string) (Credentials, error) {
	file, err := os.Open(path)
	if err != nil {
		return Credentials{}, fmt.Errorf("%s cannot be read", path)
	}
	defer file.Close()
	// Of the open file: another one may be in its place a moment later.
	about, err := file.Stat()
	if err != nil {
		return Credentials{}, fmt.Errorf("%s cannot be read", path)
	}
	if about.Mode().Perm()&0o007 != 0 {
		return Credentials{}, fmt.Errorf("%s can be read or written by everybody: run chmod o= on it", path)
	}
	var line struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	content, err := io.ReadAll(io.LimitReader(file, 65_536))
	if err != nil || json.Unmarshal(content, &line) != nil || !plain.MatchString(line.ID) || !plain.MatchString(line.Secret) {
		return Credentials{}, fmt.Errorf("%s does not have the output of countersign client create --json", path)
	}
	return Credentials{line.ID, line.Secret}, nil
}

type endpoint struct {
	base string
	http *http.Client
}

func newEndpoint(text string, authority *x509.CertPool) (*endpoint, error) {
	transport := &http.Transport{
		MaxConnsPerHost: connectionsMax, MaxIdleConnsPerHost: connectionsMax, IdleConnTimeout: idleMax,
		TLSClientConfig: &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12}, DisableCompression: true,
	}
	client := &http.Client{
		Transport: transport,
		// A redirect would carry the credential elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if strings.HasPrefix(text, "unix:") {
		path, _, _ := strings.Cut(strings.TrimPrefix(text, "unix:"), "?")
		if !strings.HasPrefix(path, "/") || len(path) > 107 || strings.Contains(path, "\x00") {
			return nil, errors.New("unix: needs an absolute path of at most 107 bytes")
		}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		return &endpoint{"http://countersign", client}, nil
	}
	// The text may hold a user name and a password, so no error repeats it.
	address, err := url.Parse(text)
	if err != nil || address.Host == "" || (address.Path != "" && address.Path != "/") || address.RawQuery != "" ||
		address.User != nil || address.Fragment != "" || (address.Scheme != "http" && address.Scheme != "https") {
		return nil, errors.New("an endpoint is unix:PATH, http://HOST:PORT or https://HOST:PORT")
	}
	ip := net.ParseIP(address.Hostname())
	if address.Scheme == "http" && address.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errors.New("cleartext is allowed on loopback only: use https:// or unix:")
	}
	return &endpoint{address.Scheme + "://" + address.Host, client}, nil
}

// nodes are the connections to the nodes of a service.
type nodes struct {
	endpoints     []*endpoint
	preferred     atomic.Int32
	authorization string
}

// Client verifies credentials. Any number of goroutines may use it.
type Client struct {
	nodes *nodes
	// feed has connections of its own: verifications that wait for one must not delay the changes.
	feed     *nodes
	deadline time.Duration
	cache    *cache
	log      func(string)
	end      context.CancelFunc
	ended    chan struct{}
}

// String hides the credentials.
func (*Client) String() string { return "<countersign client>" }

// GoString hides the credentials.
func (*Client) GoString() string { return "<countersign client>" }

func newNodes(options Options, authority *x509.CertPool) (*nodes, error) {
	nodes := &nodes{}
	for _, text := range options.Endpoints {
		endpoint, err := newEndpoint(text, authority)
		if err != nil {
			return nil, err
		}
		nodes.endpoints = append(nodes.endpoints, endpoint)
	}
	if options.Credentials.id != "" {
		pair := options.Credentials.id + ":" + options.Credentials.secret
		nodes.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	}
	return nodes, nil
}

func (nodes *nodes) close() {
	for _, endpoint := range nodes.endpoints {
		endpoint.http.CloseIdleConnections()
	}
}

// New makes a client. Close it.
func New(options Options) (*Client, error) {
	if len(options.Endpoints) == 0 {
		return nil, errors.New("name at least one endpoint")
	}
	client := &Client{deadline: options.Deadline, log: options.Log, end: func() {}, ended: make(chan struct{})}
	if client.deadline <= 0 {
		client.deadline = deadlineUsed
	}
	if client.log == nil {
		client.log = func(line string) { log.Print(line) }
	}
	var authority *x509.CertPool
	if options.CertificateAuthority != "" {
		content, err := os.ReadFile(options.CertificateAuthority)
		authority = x509.NewCertPool()
		if err != nil || !authority.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("%s has no certificates in PEM", options.CertificateAuthority)
		}
	}
	var err error
	if client.nodes, err = newNodes(options, authority); err != nil {
		return nil, err
	}
	if options.Cache == nil {
		close(client.ended)
		return client, nil
	}
	if client.feed, err = newNodes(options, authority); err != nil {
		return nil, err
	}
	if client.cache, err = newCache(*options.Cache); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	client.end = cancel
	go func() {
		defer close(client.ended)
		client.follow(ctx)
	}()
	return client, nil
}

// Close ends the cache and closes the connections.
func (client *Client) Close() {
	client.end()
	<-client.ended
	client.nodes.close()
	if client.feed != nil {
		client.feed.close()
	}
}

// UsesCache says whether what is cached is proven now.
func (client *Client) UsesCache() bool {
	return client.cache != nil && client.cache.isProven(time.Now())
}

// Verify verifies one credential, of any text. An error says nothing about the credential.
func (client *Client) Verify(ctx context.Context, credential string, requirement Requirement) (Verdict, error) {
	if client.cache == nil {
		verdict, _, _, err := client.fetch(ctx, credential, requirement)
		return verdict, err
	}
	key := client.cache.key(credential, requirement)
	if identity := client.cache.find(key, time.Now()); identity != nil {
		return Verdict{Active: true, Reason: "valid", Identity: identity}, nil
	}
	verdict, decided, isKnown, err := client.fetch(ctx, credential, requirement)
	// Only what is accepted: an inactive one may become active, and unknown ones must not fill the cache.
	if err == nil && verdict.Active {
		client.cache.keep(verdict.Identity, key, decided, isKnown, time.Now())
	}
	return verdict, err
}

// VerifyAll verifies up to a thousand credentials in one request, in their order. It never uses the cache.
func (client *Client) VerifyAll(ctx context.Context, credentials []string, requirement Requirement) ([]Verdict, error) {
	if len(credentials) == 0 {
		return nil, nil
	}
	if len(credentials) > credentialsMax {
		return nil, questionRefused("more than a thousand credentials")
	}
	question := members(requirement)
	sendable := make([]string, len(credentials))
	for index, credential := range credentials {
		sendable[index] = text(credential)
	}
	question["credentials"] = sendable
	answer, err := client.post(ctx, question)
	if err != nil {
		return nil, err
	}
	var found struct {
		Results []result `json:"results"`
	}
	if json.Unmarshal(answer.body, &found) != nil || len(found.Results) != len(credentials) {
		return nil, ErrNotUnderstood
	}
	verdicts := make([]Verdict, len(found.Results))
	for index := range found.Results {
		if verdicts[index], err = found.Results[index].verdict(); err != nil {
			return nil, err
		}
	}
	return verdicts, nil
}

func (client *Client) fetch(ctx context.Context, credential string, requirement Requirement) (Verdict, position, bool, error) {
	question := members(requirement)
	question["credential"] = text(credential)
	answer, err := client.post(ctx, question)
	if err != nil {
		return Verdict{}, position{}, false, err
	}
	var found result
	if json.Unmarshal(answer.body, &found) != nil {
		return Verdict{}, position{}, false, ErrNotUnderstood
	}
	verdict, err := found.verdict()
	decided, isKnown := readPosition(answer.header.Get("Changes-Through"))
	return verdict, decided, isKnown, err
}

func members(requirement Requirement) map[string]any {
	members := map[string]any{}
	if len(requirement.Scopes) > 0 {
		members["scope"] = strings.Join(requirement.Scopes, " ")
	}
	if requirement.Audience != "" {
		members["audience"] = requirement.Audience
	}
	if requirement.ClientIP != "" {
		members["client_ip"] = requirement.ClientIP
	}
	return members
}

// What is not UTF-8 is no credential, and JSON would make another text of it; nor is an empty text.
func text(credential string) string {
	if utf8.ValidString(credential) {
		return credential
	}
	return ""
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (client *Client) post(ctx context.Context, question map[string]any) (*answer, error) {
	body, err := json.Marshal(question)
	if err != nil || len(body) > questionBytesMax {
		return nil, questionRefused("more than a mebibyte")
	}
	answer, err := client.nodes.ask(ctx, http.MethodPost, "/v1/verify", body, client.deadline)
	if err != nil {
		return nil, err
	}
	switch answer.status {
	case http.StatusOK:
		return answer, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%w: %d", ErrCallerRefused, answer.status)
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		var problem struct {
			Detail string `json:"detail"`
		}
		_ = json.Unmarshal(answer.body, &problem)
		if problem.Detail == "" {
			problem.Detail = fmt.Sprintf("status %d", answer.status)
		}
		return nil, questionRefused(problem.Detail)
	default:
		seconds, _ := strconv.Atoi(answer.header.Get("Retry-After"))
		return nil, &unavailable{fmt.Sprintf("status %d", answer.status), seconds}
	}
}

// ask asks the node that answered last and, if it cannot answer, each other one once.
func (nodes *nodes) ask(ctx context.Context, method, path string, body []byte, limit time.Duration) (*answer, error) {
	end := time.Now().Add(limit)
	first := int(nodes.preferred.Load())
	for tried := range nodes.endpoints {
		index := (first + tried) % len(nodes.endpoints)
		left := len(nodes.endpoints) - tried
		// Those that are left get as much time as this one.
		found, err := nodes.attempt(ctx, nodes.endpoints[index], method, path, body, time.Until(end)/time.Duration(left))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && (found.status != http.StatusServiceUnavailable || left == 1) {
			if found.status != http.StatusServiceUnavailable {
				nodes.preferred.Store(int32(index))
			}
			return found, nil
		}
		if err != nil && (left == 1 || !time.Now().Before(end)) {
			return nil, &unavailable{cause(err), 1}
		}
	}
	return nil, &unavailable{"no node answers", 1}
}

func (nodes *nodes) attempt(
	ctx context.Context, endpoint *endpoint, method, path string, body []byte, limit time.Duration,
) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, endpoint.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// To verify twice has no effect, so a connection that the service closes at this moment is no failure.
	request.Header["Idempotency-Key"] = nil
	if nodes.authorization != "" {
		request.Header.Set("Authorization", nodes.authorization)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := endpoint.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, answerBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(content) > answerBytesMax {
		return nil, errors.New("the answer is too large")
	}
	return &answer{response.StatusCode, response.Header, content}, nil
}

// cause is the reason of a failure, without the address and anything of the question.
func cause(err error) string {
	var failure *url.Error
	if errors.As(err, &failure) {
		err = failure.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}
