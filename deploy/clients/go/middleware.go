package countersign

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The one credential of a request, and the answers to requests without one. Strict, because this and the service must never choose
// differently: two credentials are refused. The answers are those of the service's /verify, and have nothing of the request in them.

var (
	fieldToken = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	fieldText  = regexp.MustCompile(`^[\t -~]*$`)
	// Visible ASCII without comma and quote, and without a leading equals sign.
	credentialText = regexp.MustCompile(`^[!#-+\--<>-~][!#-+\--~]*$`)
)

const credentialBytesMax = 8192

func isCredential(text string) bool {
	return len(text) <= credentialBytesMax && credentialText.MatchString(text)
}

type presented struct {
	text string
	kind Kind
}

// find returns the credential of a request, nil if it has none, or why it has none that is well-formed.
func find(authorization []string, query string) (*presented, string) {
	// No request may have a fragment; whoever reads one otherwise would read another key.
	query, _, _ = strings.Cut(query, "#")
	if len(authorization) > 1 {
		return nil, "more than one Authorization field"
	}
	var keys []string
	for _, pair := range strings.Split(query, "&") {
		if isKey(pair) {
			keys = append(keys, pair)
		}
	}
	if len(keys) > 1 {
		return nil, "more than one api_key in the query"
	}
	if len(keys) == 1 {
		_, encoded, _ := strings.Cut(keys[0], "=")
		value, err := url.QueryUnescape(encoded)
		if err != nil || !utf8.ValidString(value) || !isCredential(value) {
			return nil, "api_key in the query is malformed"
		}
		if len(authorization) > 0 {
			return nil, "a credential in the header and one in the query"
		}
		return &presented{value, APIKey}, ""
	}
	if len(authorization) == 0 {
		return nil, ""
	}
	scheme, rest, _ := strings.Cut(authorization[0], " ")
	if !fieldText.MatchString(authorization[0]) || !fieldToken.MatchString(scheme) {
		return nil, "the Authorization field is malformed"
	}
	var kind Kind
	switch strings.ToLower(scheme) {
	case "bearer":
		kind = AccessToken
	case "apikey":
		kind = APIKey
	default:
		return nil, ""
	}
	if text := strings.TrimLeft(rest, " "); isCredential(text) {
		return &presented{text, kind}, ""
	}
	return nil, "the Authorization field is malformed"
}

// Decoded once: `api%5Fkey` is the name, `API_KEY` is not.
func isKey(pair string) bool {
	encoded, _, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(encoded)
	return err == nil && name == "api_key"
}

func withoutKey(query string) string {
	var kept []string
	for _, pair := range strings.Split(query, "&") {
		if !isKey(pair) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// Guard lets requests with a valid credential through.
type Guard struct {
	Client *Client
	// Audience is the URI of the application, which a credential with audiences must include (RFC 8707).
	Audience string
	// Scopes that every request needs.
	Scopes []string
	// Realm of the challenges; empty: "api".
	Realm string
	// ResourceMetadata is the URL of the metadata of the protected resource (RFC 9728 section 5.1); empty: none.
	ResourceMetadata string
	// ClientIP is the address of a request's client, for credentials that are limited to networks; empty: unknown. Nil: the peer of
	// the connection, which is a proxy's if there is one in front.
	ClientIP func(*http.Request) string
}

type contextKey struct{}

// FromContext is the identity of a request that a Guard has let through; nil: none has.
func FromContext(ctx context.Context) *Identity {
	identity, _ := ctx.Value(contextKey{}).(*Identity)
	return identity
}

// Wrap guards a handler, which sees the identity in its context and no api_key.
func (guard Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		identity, refused := guard.admit(request)
		if refused != nil {
			refused.write(writer, request.Method == http.MethodHead)
			return
		}
		request = request.WithContext(context.WithValue(request.Context(), contextKey{}, identity))
		if query := withoutKey(request.URL.RawQuery); query != request.URL.RawQuery {
			clean := *request.URL
			clean.RawQuery = query
			request.URL = &clean
			request.RequestURI = clean.RequestURI()
			// Whoever has parsed it before has parsed the key.
			request.Form = nil
		}
		next.ServeHTTP(writer, request)
	})
}

func (guard Guard) admit(request *http.Request) (*Identity, *refusal) {
	found, why := find(request.Header.Values("Authorization"), request.URL.RawQuery)
	if why != "" {
		return nil, guard.refusal(http.StatusBadRequest, why, `, error="invalid_request"`)
	}
	if found == nil {
		return nil, guard.refusal(http.StatusUnauthorized, "a credential is required", "")
	}
	requirement := Requirement{Audience: guard.Audience, ClientIP: guard.clientIP(request)}
	verdict, err := guard.Client.Verify(request.Context(), found.text, requirement)
	if err != nil {
		seconds := RetryAfter(err)
		if !errors.Is(err, ErrUnavailable) {
			// Wrong settings on either side, which the client of the request cannot tell apart.
			guard.Client.log("countersign: " + err.Error())
			seconds = 10
		}
		return nil, unavailableFor(seconds)
	}
	// A key that is presented as a token, or a token as a key, is not what it is presented as.
	if !verdict.Active || verdict.Identity.Kind != found.kind {
		return nil, guard.refusal(http.StatusUnauthorized, "the credential is not accepted", `, error="invalid_token"`)
	}
	if !verdict.Identity.Grants(guard.Scopes...) {
		return nil, guard.insufficientScope()
	}
	return verdict.Identity, nil
}

func (guard Guard) clientIP(request *http.Request) string {
	if guard.ClientIP != nil {
		return guard.ClientIP(request)
	}
	host, _, err := net.SplitHostPort(request.RemoteAddr)
	if err != nil || net.ParseIP(host) == nil {
		return ""
	}
	return host
}

// refusal is an answer in place of the application's.
type refusal struct {
	status       int
	detail       string
	field, value string
}

func (guard Guard) refusal(status int, detail, problem string) *refusal {
	realm := guard.Realm
	if realm == "" {
		realm = "api"
	}
	realm = quotable(realm)
	metadata := ""
	if guard.ResourceMetadata != "" {
		metadata = `, resource_metadata="` + quotable(guard.ResourceMetadata) + `"`
	}
	// One line with Bearer first: some gateways pass on only the first line of the field.
	value := `Bearer realm="` + realm + `"` + problem + metadata + `, ApiKey realm="` + realm + `"`
	return &refusal{status, detail, "WWW-Authenticate", value}
}

func (guard Guard) insufficientScope() *refusal {
	needed := quotable(strings.Join(guard.Scopes, " "))
	return guard.refusal(http.StatusForbidden, "the credential lacks a scope", `, error="insufficient_scope", scope="`+needed+`"`)
}

// This never means "invalid".
func unavailableFor(seconds int) *refusal {
	return &refusal{http.StatusServiceUnavailable, "credentials cannot be verified now", "Retry-After", strconv.Itoa(seconds)}
}

func (refusal *refusal) write(writer http.ResponseWriter, isHead bool) {
	body, _ := json.Marshal(map[string]any{
		"type": "about:blank", "title": http.StatusText(refusal.status), "status": refusal.status, "detail": refusal.detail,
	})
	header := writer.Header()
	header.Set(refusal.field, refusal.value)
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	writer.WriteHeader(refusal.status)
	if !isHead {
		_, _ = writer.Write(body)
	}
}

func quotable(text string) string {
	return strings.Map(func(letter rune) rune {
		if letter < ' ' || letter > '~' || letter == '"' || letter == '\\' {
			return -1
		}
		return letter
	}, text)
}
