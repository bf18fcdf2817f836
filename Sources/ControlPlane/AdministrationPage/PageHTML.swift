extension AdministrationPage {
    static let html = #"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Countersign administration</title>
        <link rel="stylesheet" href="/admin/page.css">
        <script src="/admin/page.js" defer></script>
        </head>
        <body>
        <header>
          <h1>Countersign</h1>
          <nav aria-label="Sections" hidden>
            <button type="button" data-section="keys">Keys</button>
            <button type="button" data-section="clients">Clients</button>
            <button type="button" data-section="activity">Activity</button>
            <button type="button" id="sign-out">Sign out</button>
          </nav>
        </header>
        <main>
          <p id="status" role="status" aria-live="polite"></p>
          <p id="error" role="alert"></p>
          <noscript><p>This page needs JavaScript. The command line does the same: <code>countersign --help</code>.</p></noscript>

          <section id="sign-in" aria-labelledby="sign-in-title">
            <h2 id="sign-in-title">Sign in</h2>
            <form id="sign-in-form">
              <label for="credential">API key</label>
              <input id="credential" type="password" autocomplete="one-time-code" spellcheck="false" required
                aria-describedby="credential-help">
              <p id="credential-help">A key whose scope holds countersign:admin, or the narrower rights for what you do.
                It stays in this page and is gone when you close or reload it.</p>
              <button>Sign in</button>
            </form>
          </section>

          <section id="secret" aria-labelledby="secret-title" hidden>
            <h2 id="secret-title" tabindex="-1">The new secret</h2>
            <p>It is shown this once and stored nowhere. Copy it now.</p>
            <output id="secret-value"></output>
            <p><button type="button" id="secret-copy">Copy</button> <button type="button" id="secret-done">Done</button></p>
          </section>

          <section id="keys" aria-labelledby="keys-title" hidden>
            <h2 id="keys-title" tabindex="-1">Keys</h2>
            <form class="search" role="search" data-list="keys">
              <label for="keys-search">Search by id, owner or name</label>
              <input id="keys-search" type="search" autocomplete="off">
              <label><input type="checkbox" id="keys-rotated"> Only rotated ones that still work</label>
              <button>Search</button>
            </form>
            <div class="scroll"><table>
              <caption>Keys</caption>
              <thead><tr><th scope="col">Id</th><th scope="col">State</th><th scope="col">Owner</th><th scope="col">Name</th>
                <th scope="col">Scope</th><th scope="col">Last used</th><th scope="col">Expires</th>
                <th scope="col">Actions</th></tr></thead>
              <tbody id="keys-rows"></tbody>
            </table></div>
            <button type="button" id="keys-more" hidden>More keys</button>
            <h3>Create a key</h3>
            <form id="key-form" class="fields">
              <label for="key-owner">Owner</label><input id="key-owner" data-member="owner" required maxlength="255" autocomplete="off">
              <label for="key-name">Name</label><input id="key-name" data-member="name" maxlength="255" autocomplete="off">
              <label for="key-scope">Scopes, separated by spaces</label><input id="key-scope" data-member="scope" autocomplete="off">
              <label for="key-audience">Audiences, separated by spaces</label><input id="key-audience" data-member="aud audience" autocomplete="off">
              <label for="key-network">Networks (CIDR), separated by spaces</label><input id="key-network" data-member="network" autocomplete="off">
              <label for="key-days">Days until it expires; empty: as the service's default</label>
              <input id="key-days" data-member="expires_in" type="number" min="1" max="36500">
              <button>Create key</button>
            </form>
          </section>

          <section id="clients" aria-labelledby="clients-title" hidden>
            <h2 id="clients-title" tabindex="-1">Clients</h2>
            <form class="search" role="search" data-list="clients">
              <label for="clients-search">Search by id or name</label>
              <input id="clients-search" type="search" autocomplete="off">
              <button>Search</button>
            </form>
            <div class="scroll"><table>
              <caption>Clients</caption>
              <thead><tr><th scope="col">Id</th><th scope="col">Name</th><th scope="col">Grants</th><th scope="col">Scope</th>
                <th scope="col">May</th><th scope="col">Since</th><th scope="col">Actions</th></tr></thead>
              <tbody id="clients-rows"></tbody>
            </table></div>
            <button type="button" id="clients-more" hidden>More clients</button>
            <h3>Register a client</h3>
            <form id="client-form" class="fields">
              <label for="client-name">Name</label><input id="client-name" data-member="name" required maxlength="255" autocomplete="off">
              <fieldset><legend>Grants</legend>
                <label><input type="checkbox" name="grant" value="authorization_code"> authorization_code</label>
                <label><input type="checkbox" name="grant" value="client_credentials"> client_credentials</label>
                <label><input type="checkbox" name="grant" value="refresh_token"> refresh_token</label></fieldset>
              <label for="client-uris">Redirect URIs, separated by spaces</label><input id="client-uris" data-member="redirect_uris" autocomplete="off">
              <label for="client-scope">Scopes, separated by spaces</label><input id="client-scope" data-member="scope" autocomplete="off">
              <fieldset><legend>Rights over this service</legend>
                <label><input type="checkbox" name="may" value="introspect"> introspect</label>
                <label><input type="checkbox" name="may" value="changes"> changes</label>
                <label><input type="checkbox" name="may" value="admin"> admin</label></fieldset>
              <label><input type="checkbox" id="client-public"> It can keep no secret (browser, phone)</label>
              <button>Register client</button>
            </form>
          </section>

          <section id="activity" aria-labelledby="activity-title" hidden>
            <h2 id="activity-title" tabindex="-1">Activity</h2>
            <dl>
              <div><dt>Verifications a second</dt><dd id="rate">–</dd></div>
              <div><dt>Answered from the cache</dt><dd id="hit-ratio">–</dd></div>
              <div><dt>Uses of rotated credentials a second</dt><dd id="superseded">–</dd></div>
              <div><dt>Open connections</dt><dd id="connections">–</dd></div>
            </dl>
            <div class="scroll"><table>
              <caption>Verifications a second, by outcome</caption>
              <thead><tr><th scope="col">Interface</th><th scope="col">Kind</th><th scope="col">Outcome</th>
                <th scope="col">A second</th><th scope="col">Since the start</th></tr></thead>
              <tbody id="activity-rows"></tbody>
            </table></div>
          </section>
        </main>

        <dialog id="confirm" aria-labelledby="confirm-title">
          <h2 id="confirm-title"></h2>
          <p id="confirm-text"></p>
          <p><button type="button" id="confirm-yes"></button> <button type="button" id="confirm-no">Cancel</button></p>
        </dialog>
        </body>
        </html>

        """#
}
