// Package original_uri sends a request on with the URI in X-Auth-Uri: the original one without api_key. Traefik itself can
// change a path and never a query.
package original_uri

import (
	"context"
	"net/http"
	"net/url"
)

// Config is empty: there is nothing to choose.
type Config struct{}

// CreateConfig is what Traefik asks for.
func CreateConfig() *Config { return &Config{} }

// New puts the change in front of next.
func New(_ context.Context, next http.Handler, _ *Config, _ string) (http.Handler, error) {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		target := request.Header.Get("X-Auth-Uri")
		uri, err := url.ParseRequestURI(target)
		// Without a path in it something is set up wrongly, and the key may still be in the query.
		if err != nil || target[0] != '/' {
			answer.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		request.URL.Path, request.URL.RawPath = uri.Path, uri.RawPath
		request.URL.RawQuery, request.URL.ForceQuery = uri.RawQuery, uri.ForceQuery
		request.RequestURI = target
		next.ServeHTTP(answer, request)
	}), nil
}
