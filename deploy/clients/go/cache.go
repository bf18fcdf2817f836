package countersign

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What the cache knows has a time: a page of changes that was requested at some moment has everything that was published before it.
// So an answer is used for the lag after the newest complete page was requested, and no longer. If the feed breaks, nothing is proven,
// and the cache is empty. Whatever happens, a credential is accepted for at most the lag after its revocation has returned.
//
// An answer may be older than a page that was applied before it arrived, or come from another node of a fleet. The service says
// through which change it has decided (Changes-Through), and an answer is kept only if that includes every change that the cache has
// applied.

// LagMax is the longest lag of a cache.
const LagMax = 2 * time.Second

const (
	lagMin      = 80 * time.Millisecond
	changesMax  = 1000
	entriesUsed = 10_000
	answerUsed  = 30 * time.Second
)

// CacheOptions are those of a cache. The zero value is what to begin with.
type CacheOptions struct {
	// Entries are answers that are kept at most; 0: 10,000.
	Entries int
	// Lag is for how long a credential may be accepted after its revocation has returned, 80 ms to LagMax; 0: LagMax.
	Lag time.Duration
	// Answer is for how long an answer is kept if nothing changes; 0: 30 s.
	Answer time.Duration
}

func (options CacheOptions) complete() CacheOptions {
	if options.Entries <= 0 {
		options.Entries = entriesUsed
	}
	if options.Answer <= 0 {
		options.Answer = answerUsed
	}
	if options.Lag <= 0 || options.Lag > LagMax {
		options.Lag = LagMax
	}
	if options.Lag < lagMin {
		options.Lag = lagMin
	}
	return options
}

// position is a place in the change feed, which the nodes of a fleet number alike.
type position struct {
	incarnation string
	number      uint64
}

// readPosition reads Changes-Through: INCARNATION/NUMBER.
func readPosition(field string) (position, bool) {
	incarnation, number, found := strings.Cut(field, "/")
	if !found {
		return position{}, false
	}
	if _, err := strconv.ParseUint(incarnation, 10, 64); err != nil {
		return position{}, false
	}
	through, err := strconv.ParseUint(number, 10, 64)
	return position{incarnation, through}, err == nil
}

type cacheKey [sha256.Size]byte

type cacheEntry struct {
	identity *Identity
	until    time.Time
}

// isBefore compares by the monotonic clock and by the wall clock: the first stands still while the machine is suspended, and the second
// may be set.
func isBefore(now, end time.Time) bool { return now.Before(end) && now.Round(0).Before(end.Round(0)) }

// cache has the answers, and until when they are proven. It has no clock and no connection.
type cache struct {
	options CacheOptions
	secret  []byte

	mutex       sync.RWMutex
	entries     map[cacheKey]cacheEntry
	applied     *position
	provenUntil time.Time
}

func newCache(options CacheOptions) (*cache, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	return &cache{options: options.complete(), secret: secret, entries: map[cacheKey]cacheEntry{}}, nil
}

// key is a keyed hash of the whole question, so that no credential stays in memory for longer than its question.
func (cache *cache) key(credential string, requirement Requirement) cacheKey {
	hash := hmac.New(sha256.New, cache.secret)
	// With lengths, so that no two questions have the same bytes.
	for _, part := range append([]string{credential, requirement.Audience, requirement.ClientIP}, requirement.Scopes...) {
		fmt.Fprintf(hash, "%d:", len(part))
		hash.Write([]byte(part))
	}
	var key cacheKey
	hash.Sum(key[:0])
	return key
}

func (cache *cache) isProven(now time.Time) bool {
	cache.mutex.RLock()
	defer cache.mutex.RUnlock()
	return isBefore(now, cache.provenUntil)
}

func (cache *cache) find(key cacheKey, now time.Time) *Identity {
	cache.mutex.RLock()
	entry, found := cache.entries[key]
	isProven := isBefore(now, cache.provenUntil)
	cache.mutex.RUnlock()
	if !isProven || !found {
		return nil
	}
	identity, seconds := entry.identity, now.Unix()
	if !isBefore(now, entry.until) || (identity.ExpiresAt != 0 && seconds >= identity.ExpiresAt) ||
		(identity.NotBefore != 0 && seconds < identity.NotBefore) {
		cache.mutex.Lock()
		delete(cache.entries, key)
		cache.mutex.Unlock()
		return nil
	}
	return identity.copy()
}

// keep keeps an answer, unless it was decided without a change that was applied here.
func (cache *cache) keep(identity *Identity, key cacheKey, decided position, isKnown bool, now time.Time) {
	cache.mutex.Lock()
	defer cache.mutex.Unlock()
	applied := cache.applied
	if applied == nil || !isKnown || decided.incarnation != applied.incarnation || decided.number < applied.number {
		return
	}
	if _, isThere := cache.entries[key]; !isThere && len(cache.entries) >= cache.options.Entries {
		for other := range cache.entries {
			delete(cache.entries, other)
			break
		}
	}
	cache.entries[key] = cacheEntry{identity.copy(), now.Add(cache.options.Answer)}
}

func (cache *cache) begin(at position, requestedAt time.Time) {
	cache.mutex.Lock()
	defer cache.mutex.Unlock()
	cache.entries = map[cacheKey]cacheEntry{}
	cache.applied = &at
	cache.provenUntil = requestedAt.Add(cache.options.Lag)
}

type change struct {
	ID       string `json:"id"`
	ClientID string `json:"client_id"`
	Family   string `json:"family"`
	Flush    bool   `json:"flush"`
}

// apply drops what changes name. isAll: there are no more, so everything from before the request is known.
func (cache *cache) apply(changes []change, through uint64, requestedAt time.Time, isAll bool) {
	cache.mutex.Lock()
	defer cache.mutex.Unlock()
	if cache.applied == nil {
		return
	}
	ids, clients, families := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, change := range changes {
		if change.Flush {
			cache.entries = map[cacheKey]cacheEntry{}
		}
		ids[change.ID], clients[change.ClientID], families[change.Family] = true, true, true
	}
	delete(ids, "")
	delete(clients, "")
	delete(families, "")
	if len(changes) > 0 {
		for key, entry := range cache.entries {
			if ids[entry.identity.ID] || clients[entry.identity.ClientID] || families[entry.identity.Family] {
				delete(cache.entries, key)
			}
		}
	}
	cache.applied.number = through
	if isAll {
		cache.provenUntil = requestedAt.Add(cache.options.Lag)
	}
}

// stop: nothing is proven any more.
func (cache *cache) stop() {
	cache.mutex.Lock()
	defer cache.mutex.Unlock()
	cache.entries = map[cacheKey]cacheEntry{}
	cache.applied = nil
	cache.provenUntil = time.Time{}
}

func (cache *cache) count() int {
	cache.mutex.RLock()
	defer cache.mutex.RUnlock()
	return len(cache.entries)
}

type page struct {
	Incarnation string   `json:"incarnation"`
	Changes     []change `json:"changes"`
	Next        *uint64  `json:"next"`
	// However few changes there are on this page: the service leaves out those of new credentials.
	More bool `json:"more"`
}

var errBroken = errors.New("the feed cannot be followed")

// follow follows GET /v1/changes until the context ends. It polls, and does not let the service wait for a change: a page that waited
// for a second is a second old when it arrives.
func (client *Client) follow(ctx context.Context) {
	defer client.cache.stop()
	interval := client.cache.options.Lag / 8
	logged := ""
	for ctx.Err() == nil {
		err := client.followOnce(ctx, interval)
		client.cache.stop()
		// Once for each cause.
		if ctx.Err() == nil && err.Error() != logged {
			logged = err.Error()
			client.log(fmt.Sprintf("countersign: changes are not followed, the cache is empty: %v", err))
		}
		sleep(ctx, interval)
	}
}

func (client *Client) followOnce(ctx context.Context, interval time.Duration) error {
	requestedAt := time.Now()
	found, err := client.page(ctx, "/v1/changes")
	if err != nil {
		return err
	}
	incarnation, through := found.Incarnation, *found.Next
	client.cache.begin(position{incarnation, through}, requestedAt)
	isAll := true
	for {
		if isAll {
			sleep(ctx, time.Until(requestedAt.Add(interval)))
		}
		requestedAt = time.Now()
		path := fmt.Sprintf("/v1/changes?after=%d&incarnation=%s&limit=%d", through, incarnation, changesMax)
		if found, err = client.page(ctx, path); err != nil {
			return err
		}
		if found.Incarnation != incarnation {
			return fmt.Errorf("%w: the store is another one", errBroken)
		}
		isAll, through = !found.More && len(found.Changes) < changesMax, *found.Next
		client.cache.apply(found.Changes, through, requestedAt, isAll)
	}
}

func (client *Client) page(ctx context.Context, path string) (*page, error) {
	// Half of the lag, so that a silent feed is noticed before the answers are no longer proven.
	answer, err := client.feed.ask(ctx, http.MethodGet, path, nil, client.cache.options.Lag/2)
	if err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", errBroken, answer.status)
	}
	var found page
	if json.Unmarshal(answer.body, &found) != nil || found.Next == nil {
		return nil, fmt.Errorf("%w: the answer is not understood", errBroken)
	}
	if _, err := strconv.ParseUint(found.Incarnation, 10, 64); err != nil {
		return nil, fmt.Errorf("%w: the answer is not understood", errBroken)
	}
	return &found, nil
}

func sleep(ctx context.Context, duration time.Duration) {
	if duration <= 0 {
		return
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
