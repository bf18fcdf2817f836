// Package countersign verifies API keys and OAuth tokens with a Countersign service.
//
//	client, err := countersign.New(countersign.Options{Endpoints: []string{"unix:/run/countersign/verify.sock"}})
//	verdict, err := client.Verify(ctx, text, countersign.Requirement{Scopes: []string{"orders:read"}})
//	if err != nil {
//		// Nothing is known about the credential: answer 503.
//	} else if verdict.Active {
//		fmt.Println(verdict.Identity.Subject)
//	}
package countersign

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Requirement is what a credential must meet. The zero value accepts every valid credential.
type Requirement struct {
	// Scopes that it must have, all of them (RFC 6749 section 3.3).
	Scopes []string
	// Audience is a URI that it must be valid for (RFC 8707); a credential without audiences is valid for all.
	Audience string
	// ClientIP is where it came from. Without it, a credential that is limited to networks is not accepted.
	ClientIP string
}

// Kind is how a credential must be presented.
type Kind string

const (
	APIKey      Kind = "ApiKey"
	AccessToken Kind = "Bearer"
)

// Identity is the owner of a credential, and what it grants (RFC 7662 section 2.2). Times are seconds since 1970-01-01; 0: there is
// none.
type Identity struct {
	Kind Kind
	// ID is public: it may be logged, and names the credential for a revocation.
	ID        string
	Subject   string
	ClientID  string
	Scopes    []string
	Audiences []string
	IssuedAt  int64
	NotBefore int64
	ExpiresAt int64
	Issuer    string
	// Family is the grant of a token.
	Family string
}

// copy: what a caller changes must not be what is cached.
func (identity *Identity) copy() *Identity {
	own := *identity
	own.Scopes = append([]string(nil), identity.Scopes...)
	own.Audiences = append([]string(nil), identity.Audiences...)
	return &own
}

// Grants says whether it has all of these scopes.
func (identity *Identity) Grants(scopes ...string) bool {
	for _, needed := range scopes {
		found := false
		for _, scope := range identity.Scopes {
			found = found || scope == needed
		}
		if !found {
			return false
		}
	}
	return true
}

// Verdict says whether a credential is accepted.
type Verdict struct {
	Active bool
	// Reason is for logs and metrics: do not tell it the client that presented the credential.
	Reason string
	// Identity is nil unless Active.
	Identity *Identity
}

// An error of this package means that there is no verdict. It says nothing about the credential.
var (
	// ErrUnavailable: no connection, no answer in time, or the service cannot answer (503).
	ErrUnavailable = errors.New("credentials cannot be verified now")
	// ErrCallerRefused: the service does not accept the credentials of this program, or they lack the right.
	ErrCallerRefused = errors.New("the service refuses this program")
	// ErrQuestionRefused: a scope, audience or address that is none, or too many credentials.
	ErrQuestionRefused = errors.New("the service refuses the question")
	// ErrNotUnderstood: this version of the library cannot read the answer.
	ErrNotUnderstood = errors.New("the answer of the service is not understood")
)

type unavailable struct {
	cause             string
	retryAfterSeconds int
}

func (failure *unavailable) Error() string { return ErrUnavailable.Error() + ": " + failure.cause }
func (failure *unavailable) Unwrap() error { return ErrUnavailable }

// RetryAfter is the number of seconds after which to try again; 1 unless the service has said so.
func RetryAfter(err error) int {
	var failure *unavailable
	if errors.As(err, &failure) && failure.retryAfterSeconds > 0 {
		return failure.retryAfterSeconds
	}
	return 1
}

// One result of the service. Pointers tell what is missing.
type result struct {
	Active    *bool           `json:"active"`
	Reason    *string         `json:"reason"`
	TokenType *string         `json:"token_type"`
	ID        *string         `json:"jti"`
	Subject   *string         `json:"sub"`
	Scope     *string         `json:"scope"`
	IssuedAt  *int64          `json:"iat"`
	ClientID  string          `json:"client_id"`
	NotBefore int64           `json:"nbf"`
	ExpiresAt int64           `json:"exp"`
	Issuer    string          `json:"iss"`
	Family    string          `json:"family"`
	Audience  json.RawMessage `json:"aud"`
}

func (found *result) verdict() (Verdict, error) {
	if found.Active == nil {
		return Verdict{}, ErrNotUnderstood
	}
	if !*found.Active {
		if found.Reason == nil {
			return Verdict{}, ErrNotUnderstood
		}
		return Verdict{Reason: *found.Reason}, nil
	}
	if found.TokenType == nil || found.ID == nil || found.Subject == nil || found.Scope == nil || found.IssuedAt == nil {
		return Verdict{}, ErrNotUnderstood
	}
	kind := Kind(*found.TokenType)
	// A type that this version does not know must not be accepted.
	if kind != APIKey && kind != AccessToken {
		return Verdict{}, ErrNotUnderstood
	}
	audiences, err := audiences(found.Audience)
	if err != nil {
		return Verdict{}, err
	}
	return Verdict{Active: true, Reason: "valid", Identity: &Identity{
		Kind: kind, ID: *found.ID, Subject: *found.Subject, ClientID: found.ClientID, Scopes: strings.Fields(*found.Scope),
		Audiences: audiences, IssuedAt: *found.IssuedAt, NotBefore: found.NotBefore, ExpiresAt: found.ExpiresAt,
		Issuer: found.Issuer, Family: found.Family,
	}}, nil
}

// One audience is a string, several are an array (RFC 7519 section 4.1.3).
func audiences(raw json.RawMessage) ([]string, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var several []string
	if json.Unmarshal(raw, &several) != nil || several == nil {
		return nil, ErrNotUnderstood
	}
	return several, nil
}

func questionRefused(detail string) error { return fmt.Errorf("%w: %s", ErrQuestionRefused, detail) }
