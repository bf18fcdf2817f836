'use strict'

// The key lives in this variable and nowhere else.
let credential = ''
const by = id => document.getElementById(id)
const words = id => by(id).value.split(/\s+/).filter(Boolean)

function say(text) { by('error').textContent = ''; by('status').textContent = text }
function fail(error) { by('status').textContent = ''; by('error').textContent = error.message }

async function ask(method, path, body, text) {
  const headers = { Authorization: 'ApiKey ' + credential }
  if (body !== undefined) headers['Content-Type'] = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
  // A click that is repeated because an answer was lost makes nothing twice.
  if (method === 'POST') headers['Idempotency-Key'] = crypto.randomUUID()
  let answer
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'omit', cache: 'no-store'
    })
  } catch { throw new Error('The service does not answer.') }
  if (answer.ok) return text ? answer.text() : answer.status === 204 ? null : answer.json()
  const problem = await answer.json().catch(() => ({}))
  const error = new Error((problem.title || 'Refused with ' + answer.status) + (problem.detail ? ': ' + problem.detail : ''))
  error.member = problem.member
  throw error
}

// What goes wrong in a handler is told on the page.
const guarded = action => async event => {
  event?.preventDefault?.()
  try { await action(event) } catch (error) { fail(error) }
}

// What is wrong with a form is told at the field that it is about, or above the form's button: in view, with the focus.
function failIn(form, error) {
  by('status').textContent = ''
  const member = (error.member ?? '').split('.')[0]
  const field = member && [...form.elements].find(element => (element.dataset.member ?? '').split(' ').includes(member))
  const note = document.createElement('p')
  note.id = form.id + '-error'
  note.className = 'field-error'
  note.setAttribute('role', 'alert')
  note.textContent = error.message
  if (field) {
    field.setAttribute('aria-invalid', 'true')
    field.setAttribute('aria-describedby', note.id)
    field.after(note)
  } else {
    note.tabIndex = -1
    form.querySelector(':scope > button').before(note)
  }
  (field || note).focus({ preventScroll: true })
  note.scrollIntoView({ block: 'center' })
}

function clearFaults(form) {
  by(form.id + '-error')?.remove()
  for (const field of form.querySelectorAll('[aria-invalid]')) {
    field.removeAttribute('aria-invalid')
    field.removeAttribute('aria-describedby')
  }
}

const submitted = (form, action) => async event => {
  event.preventDefault()
  clearFaults(form)
  by('error').textContent = ''
  try { await action() } catch (error) { failIn(form, error) }
}

function confirmed(title, text, yes) {
  by('confirm-title').textContent = title
  by('confirm-text').textContent = text
  by('confirm-yes').textContent = yes
  const dialog = by('confirm')
  return new Promise(resolve => {
    const end = value => { dialog.close(); resolve(value) }
    by('confirm-yes').onclick = () => end(true)
    by('confirm-no').onclick = () => end(false)
    dialog.oncancel = () => resolve(false)
    dialog.showModal()
    by('confirm-no').focus()
  })
}

function showSecret(text) {
  by('secret-value').textContent = text
  by('secret').hidden = false
  by('secret-title').focus()
}

const time = seconds => seconds === null ? '' : new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')

function row(cells, actions) {
  const line = document.createElement('tr')
  cells.forEach((content, index) => {
    const cell = document.createElement(index === 0 ? 'th' : 'td')
    if (index === 0) cell.scope = 'row'
    if (typeof content === 'object') { cell.textContent = content.text; cell.className = content.as }
    else cell.textContent = content
    if (content.note) {
      const note = document.createElement('div')
      note.className = 'note'
      note.textContent = content.note
      cell.append(note)
    }
    line.append(cell)
  })
  if (actions) {
    const cell = document.createElement('td')
    for (const [name, label, action] of actions) {
      const button = document.createElement('button')
      button.type = 'button'
      button.textContent = name
      button.setAttribute('aria-label', label)
      button.onclick = guarded(action)
      cell.append(button, ' ')
    }
    line.append(cell)
  }
  return line
}

// Keys and clients: a list that is searched and read on, page by page.
const lists = {
  keys: {
    path: '/v1/keys',
    filters: () => by('keys-rotated').checked ? { rotated: 'true' } : {},
    row: key => row([
      key.id, key.state.replaceAll('_', ' '), key.owner, { text: key.name ?? '', as: '', note: key.description }, key.scope,
      time(key.last_used_at) || 'never',
      key.exp === null ? 'never' : { text: time(key.exp) + (key.expires_soon ? ' (soon)' : ''), as: key.expires_soon ? 'soon' : '' }
    ], key.state !== 'active' && key.state !== 'not_yet_valid' ? [] : [
      ...(key.successor ? [] : [['Rotate', 'Rotate key ' + key.id, () => rotateKey(key)]]),
      ['Describe', 'Describe key ' + key.id, () => describeKey(key)],
      ['Revoke', 'Revoke key ' + key.id, () => revokeKey(key)]
    ])
  },
  clients: {
    path: '/v1/clients',
    filters: () => ({}),
    row: client => row([
      client.client_id, { text: client.name, as: '', note: client.description }, client.grant_types.join(' '),
      client.scope, client.may.join(' '),
      client.revoked_at === null ? time(client.created_at) : 'revoked ' + time(client.revoked_at)
    ], client.revoked_at !== null ? [] : [
      ...(client.public ? [] : [['Rotate secret', 'Rotate the secret of client ' + client.client_id, () => rotateSecret(client)]]),
      ['Revoke', 'Revoke client ' + client.client_id, () => revokeClient(client)]
    ])
  }
}

async function load(name, goOn) {
  const list = lists[name]
  const query = new URLSearchParams({ ...list.filters(), limit: '50' })
  const search = by(name + '-search').value.trim()
  if (search) query.set('search', search)
  if (goOn) query.set('after', list.next)
  // The service stops a long search after some time: it goes on here until there is something to show.
  const started = list.search = Symbol(name)
  let page = await ask('GET', list.path + '?' + query)
  while (!page.items.length && page.next !== null && list.search === started) {
    say('Searching…')
    query.set('after', page.next)
    page = await ask('GET', list.path + '?' + query)
  }
  // Somebody has begun another search meanwhile.
  if (list.search !== started) return
  const rows = page.items.map(list.row)
  if (goOn) by(name + '-rows').append(...rows)
  else by(name + '-rows').replaceChildren(...rows)
  list.next = page.next
  by(name + '-more').hidden = page.next === null
  const count = by(name + '-rows').children.length
  say(count + ' ' + name + (page.next === null ? '' : ', and there are more'))
}

async function createKey() {
  const body = { owner: by('key-owner').value }
  if (by('key-name').value) body.name = by('key-name').value
  if (by('key-description').value) body.description = by('key-description').value
  if (words('key-scope').length) body.scope = words('key-scope').join(' ')
  if (words('key-audience').length) body.aud = words('key-audience')
  if (words('key-network').length) body.network = words('key-network')
  if (by('key-days').value) body.expires_in = Number(by('key-days').value) * 86400
  const made = await ask('POST', '/v1/keys', body)
  by('key-form').reset()
  await load('keys')
  say('Key ' + made.items[0].id + ' was created.')
  showSecret(made.items[0].key)
}

function describeKey(key) {
  const form = by('describe-form')
  const dialog = by('describe')
  by('describe-title').textContent = 'Describe key ' + key.id
  by('describe-text').value = key.description ?? ''
  clearFaults(form)
  form.onsubmit = submitted(form, async () => {
    await ask('PATCH', '/v1/keys/' + key.id, { description: by('describe-text').value || null })
    dialog.close()
    await load('keys')
    say('The description of key ' + key.id + ' is saved.')
  })
  by('describe-cancel').onclick = () => dialog.close()
  dialog.showModal()
}

async function rotateKey(key) {
  const yes = await confirmed('Rotate key ' + key.id + '?',
    'A successor with the same rights is made. The old key works for another 24 hours.', 'Rotate')
  if (!yes) return
  const made = await ask('POST', '/v1/keys/' + key.id + '/rotation', {})
  await load('keys')
  say('Key ' + key.id + ' is replaced by ' + made.id + '.')
  showSecret(made.key)
}

async function revokeKey(key) {
  const yes = await confirmed('Revoke key ' + key.id + ' of ' + key.owner + '?',
    'Nobody on this node accepts it again. This cannot be undone.', 'Revoke')
  if (!yes) return
  const result = await ask('DELETE', '/v1/keys/' + key.id)
  await load('keys')
  say('Key ' + key.id + ' is revoked.' +
    (result.living_relatives.length ? ' Still alive: ' + result.living_relatives.join(', ') : ''))
}

async function createClient() {
  const checked = name => [...document.querySelectorAll('input[name=' + name + ']:checked')].map(box => box.value)
  const body = { name: by('client-name').value, public: by('client-public').checked }
  if (by('client-description').value) body.description = by('client-description').value
  if (checked('grant').length) body.grant_types = checked('grant')
  if (words('client-uris').length) body.redirect_uris = words('client-uris')
  if (words('client-scope').length) body.scope = words('client-scope').join(' ')
  if (checked('may').length) body.may = checked('may')
  const made = await ask('POST', '/v1/clients', body)
  by('client-form').reset()
  await load('clients')
  say('Client ' + made.client_id + ' was registered.')
  if (made.client_secret) showSecret(made.client_secret)
}

async function rotateSecret(client) {
  const yes = await confirmed('Rotate the secret of ' + client.name + '?',
    'The old secret works for another 24 hours.', 'Rotate')
  if (!yes) return
  const made = await ask('POST', '/v1/clients/' + client.client_id + '/secrets', {})
  await load('clients')
  say('Client ' + client.client_id + ' has a new secret.')
  showSecret(made.client_secret)
}

async function revokeClient(client) {
  const yes = await confirmed('Revoke client ' + client.name + '?',
    'Its secrets and all tokens that were issued through it end at once. This cannot be undone.', 'Revoke')
  if (!yes) return
  await ask('DELETE', '/v1/clients/' + client.client_id)
  await load('clients')
  say('Client ' + client.client_id + ' is revoked.')
}

// Activity: the difference between two readings of /metrics.
let before = null
let timer = 0

function read(text) {
  const series = new Map()
  for (const line of text.split('\n')) {
    if (!line || line[0] === '#') continue
    const end = line.lastIndexOf(' ')
    series.set(line.slice(0, end), Number(line.slice(end + 1)))
  }
  return { series, at: performance.now() }
}

async function measure() {
  const now = read(await ask('GET', '/metrics', undefined, true))
  const seconds = before ? (now.at - before.at) / 1000 : 0
  const rate = name => before ? (now.series.get(name) - (before.series.get(name) ?? 0)) / seconds : 0
  const verifications = [...now.series.keys()].filter(name => name.startsWith('countersign_verifications_total{'))
  by('rate').textContent = before ? Math.round(verifications.reduce((sum, name) => sum + rate(name), 0)) : '–'
  let hits = rate('countersign_cache_hits_total'), misses = rate('countersign_cache_misses_total')
  // Quiet: since the start.
  if (!(hits + misses > 0)) {
    hits = now.series.get('countersign_cache_hits_total')
    misses = now.series.get('countersign_cache_misses_total')
  }
  by('hit-ratio').textContent = hits + misses > 0 ? (100 * hits / (hits + misses)).toFixed(1) + ' %' : '–'
  by('superseded').textContent = before ? rate('countersign_superseded_uses_total').toFixed(1) : '–'
  by('connections').textContent = now.series.get('countersign_connections')
  by('activity-rows').replaceChildren(...verifications.map(name => {
    const label = key => name.match(key + '="([^"]*)"')[1]
    return row([
      label('interface'), label('kind').replaceAll('_', ' '), label('outcome').replaceAll('_', ' '),
      { text: before ? rate(name).toFixed(1) : '–', as: 'number' }, { text: now.series.get(name), as: 'number' }
    ])
  }))
  before = now
}

// Nodes: what etcd shows of the fleet.
async function showNodes() {
  const fleet = await ask('GET', '/v1/cluster')
  by('nodes-log').textContent = 'The log of the fleet ' + fleet.fleet + ' has ' + fleet.entry + ' entries'
    + (fleet.closed ? ', and is closed.' : '.')
  by('nodes-rows').replaceChildren(...fleet.nodes.map(node => row([
    node.name, node.region, { text: node.entry, as: 'number' }, { text: node.behind, as: node.behind > 1000 ? 'soon' : 'number' },
    { text: node.lease_seconds, as: 'number' }, node.may_pause ? 'may pause' : 'steady', node.version
  ])))
  by('etcd-rows').replaceChildren(...fleet.etcd.map(member => row([member.endpoint, member.state])))
}

async function compareNodes() {
  say('Comparing…')
  const comparison = await ask('POST', '/v1/cluster/comparisons')
  const others = comparison.nodes.filter(node => node.equal !== true).map(node =>
    node.name + (node.equal === false ? ' differs in ' + node.differing.join(', ') : ' has not answered'))
  say(comparison.rows + ' rows at entry ' + comparison.entry + ': '
    + (comparison.equal ? 'all stores are equal.' : others.join('; ') + '.'))
}

// A service that is not a node of a fleet has no such section.
async function lookForFleet() {
  const button = document.querySelector('nav [data-section=nodes]')
  try { await ask('GET', '/v1/cluster'); button.hidden = false } catch { button.hidden = true }
}

async function open(name) {
  clearInterval(timer)
  for (const id of ['sign-in', 'keys', 'clients', 'activity', 'nodes']) by(id).hidden = id !== name
  document.querySelector('nav').hidden = name === 'sign-in'
  for (const button of document.querySelectorAll('nav [data-section]')) {
    if (button.dataset.section === name) button.setAttribute('aria-current', 'page')
    else button.removeAttribute('aria-current')
  }
  say('')
  if (name === 'sign-in') return by('credential').focus()
  by(name + '-title').focus()
  if (name === 'activity') {
    before = null
    await measure()
    timer = setInterval(guarded(measure), 2000)
  } else if (name === 'nodes') {
    await showNodes()
    timer = setInterval(guarded(showNodes), 2000)
  } else await load(name)
}

by('sign-in-form').onsubmit = guarded(async () => {
  credential = by('credential').value.trim()
  by('credential').value = ''
  // A header takes no other characters, and fetch would complain in its own words.
  if (!/^[\x21-\x7e]+$/.test(credential)) throw new Error('This is no key.')
  try { await open('keys') } catch (error) { credential = ''; await open('sign-in'); throw error }
  await lookForFleet()
})
by('sign-out').onclick = guarded(async () => {
  credential = ''
  by('secret-value').textContent = ''
  by('secret').hidden = true
  for (const rows of document.querySelectorAll('tbody')) rows.replaceChildren()
  await open('sign-in')
})
by('secret-copy').onclick = guarded(async () => {
  await navigator.clipboard.writeText(by('secret-value').textContent)
  say('Copied.')
})
by('secret-done').onclick = () => { by('secret-value').textContent = ''; by('secret').hidden = true }
by('nodes-compare').onclick = guarded(compareNodes)
by('key-form').onsubmit = submitted(by('key-form'), createKey)
by('client-form').onsubmit = submitted(by('client-form'), createClient)
for (const name of Object.keys(lists)) by(name + '-more').onclick = guarded(() => load(name, true))
for (const form of document.querySelectorAll('form.search')) form.onsubmit = guarded(() => load(form.dataset.list))
for (const button of document.querySelectorAll('nav [data-section]')) {
  button.onclick = guarded(() => open(button.dataset.section))
}
