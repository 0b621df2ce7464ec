// node-zendesk against the simulated Zendesk: reads, writes, bulk jobs, exports, webhooks, and errors as it understands them.
const assert = require('node:assert/strict');
const {createClient} = require('node-zendesk');

const [subdomain, username, token] = process.argv.slice(2);
const quiet = {fatal() {}, error() {}, warn() {}, info() {}, debug() {}, trace() {}};
const client = createClient({subdomain, username, token, logger: quiet});
const steps = [];
const step = (name, run) => steps.push({name, run});

// What a call of node-zendesk resolves to, whichever of its two shapes it has. It hands a 429 back as a value: asked again.
const got = async (call) => {
  for (;;) {
    const answer = await call();
    const result = answer && Object.hasOwn(answer, 'result') ? answer.result : answer;
    if (result?.statusCode !== 429) return result;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

const finished = async (job) => {
  for (let tries = 0; tries < 200; tries += 1) {
    const status = await got(() => client.jobstatuses.show(job.id));
    const now = status.job_status ?? status;
    if (now.status === 'completed' || now.status === 'failed') return now;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }

  throw new Error(`job ${job.id} did not end`);
};

const bulk = async (call) => {
  const answer = await got(call);
  return finished(answer.job_status ?? answer);
};

step('who we are', async () => {
  const me = await got(() => client.users.me());
  assert.equal(me.role, 'admin');
  assert.equal(me.email, username);
});

step('all users, page by page', async () => {
  const users = await client.users.list();
  assert.ok(users.length > 250, `${users.length} users`);
  assert.equal(new Set(users.map((user) => user.id)).size, users.length);
});

step('a user is made, changed, found and deleted', async () => {
  const user = await got(() => client.users.create({user: {name: 'Ada Byron', email: 'ada@node.example', external_id: 'Node-1'}}));
  assert.equal(user.name, 'Ada Byron');
  const again = await got(() => client.users.createOrUpdate({user: {name: 'Ada Lovelace', external_id: 'node-1'}}));
  assert.equal(again.id, user.id);
  assert.equal(again.external_id, 'node-1');
  const changed = await got(() => client.users.update(user.id, {user: {tags: ['vip'], user_fields: {}}}));
  assert.deepEqual(changed.tags, ['vip']);
  await assert.rejects(client.users.create({user: {name: 'Other', email: 'ada@node.example'}}), /422/);
  const found = await client.users.search({external_id: 'node-1'});
  assert.deepEqual((found.users ?? found).map((other) => other.id), [user.id]);
  const identities = await client.useridentities.list(user.id);
  assert.deepEqual(identities.map((identity) => identity.value), ['ada@node.example']);
  const second = await got(() => client.useridentities.create(user.id, {type: 'email', value: 'ada2@node.example', verified: true}));
  await client.useridentities.makePrimary(user.id, second.id);
  assert.equal((await got(() => client.users.show(user.id))).email, 'ada2@node.example');
  await client.users.delete(user.id);
  assert.equal((await got(() => client.users.show(user.id))).active, false);
});

step('users in bulk, by jobs', async () => {
  const users = Array.from({length: 100}, (_, n) => ({name: `Bulk ${n}`, email: `bulk${n}@node.example`, external_id: `bulk-${n}`}));
  const made = await bulk(() => client.users.createMany({users}));
  assert.equal(made.status, 'completed');
  assert.equal(made.results.length, 100);
  const changed = await bulk(() => client.users.createOrUpdateMany({users: users.map((user) => ({...user, name: `${user.name} B`}))}));
  assert.equal(changed.status, 'completed');
  const ids = made.results.map((row) => row.id);
  const shown = await got(() => client.users.showMany(ids));
  assert.equal(shown.length, 100);
  assert.ok(shown.every((user) => user.name.endsWith(' B')));
  await assert.rejects(client.users.createMany({users: [...users, users[0]]}), /400/);
  const gone = await bulk(() => client.users.destroyMany(ids, null, null));
  assert.equal(gone.status, 'completed');
});

step('a ticket lives', async () => {
  const ticket = await got(() => client.tickets.create({ticket: {
    subject: 'From node', comment: {body: 'Hello'}, requester: {name: 'Node Customer', email: 'customer@node.example'}}}));
  assert.equal(ticket.status, 'new');
  await client.tickets.update(ticket.id, {ticket: {status: 'open', comment: {body: 'We look into it', public: false}}});
  const comments = await client.tickets.getComments(ticket.id);
  assert.deepEqual(comments.map((comment) => comment.public), [true, false]);
  const audits = await client.ticketaudits.list(ticket.id);
  assert.equal(audits.length, 2);
  await assert.rejects(client.tickets.update(ticket.id, {ticket: {updated_stamp: '2001-01-01T00:00:00Z', safe_update: true, status: 'solved'}}), /409/);
  await client.tickets.update(ticket.id, {ticket: {status: 'solved'}});
  const found = await client.tickets.showMany([ticket.id]);
  assert.equal((found.result ?? found)[0].status, 'solved');
  await client.tickets.delete(ticket.id);
  await assert.rejects(client.tickets.show(ticket.id), /404/);
});

step('tickets in bulk, by jobs', async () => {
  const tickets = Array.from({length: 10}, (_, n) => ({subject: `Bulk ${n}`, comment: {body: `Body ${n}`}}));
  const made = await bulk(() => client.tickets.createMany({tickets}));
  assert.equal(made.results.length, 10);
  const ids = made.results.map((row) => row.id);
  const changed = await bulk(() => client.tickets.updateMany(ids, {ticket: {status: 'solved'}}));
  assert.equal(changed.status, 'completed');
});

step('organizations and their members', async () => {
  const organization = await got(() => client.organizations.create({organization: {name: 'Node Works', tags: ['node']}}));
  const user = await got(() => client.users.create({user: {name: 'Member', email: 'member@node.example'}}));
  const membership = await got(() => client.organizationmemberships.create({
    user_id: user.id, organization_id: organization.id}));
  assert.equal(membership.organization_id, organization.id);
  const users = await client.users.listByOrganization(organization.id);
  assert.deepEqual(users.map((other) => other.id), [user.id]);
  await assert.rejects(client.organizations.create({organization: {name: 'Node Works'}}), /422/);
  await client.organizations.delete(organization.id);
});

step('user fields', async () => {
  const field = await got(() => client.userfields.create({user_field: {key: 'node_tier', title: 'Tier', type: 'dropdown',
    custom_field_options: [{name: 'Gold', value: 'gold'}, {name: 'Silver', value: 'silver'}]}}));
  assert.equal(field.key, 'node_tier');
  const user = await got(() => client.users.create({user: {name: 'Tiered', email: 'tiered@node.example', user_fields: {node_tier: 'gold'}}}));
  assert.equal(user.user_fields.node_tier, 'gold');
  const options = await got(() => client.userfields.listOptions(field.id));
  assert.equal((options.custom_field_options ?? options).length, 2);
  await client.userfields.delete(field.id);
});

step('search and its export', async () => {
  const found = await client.search.queryAll('type:user role:admin');
  assert.ok(found.some((user) => user.email === username));
  const count = await got(() => client.search.showResultsCount('type:ticket'));
  assert.ok((count.count ?? count) > 0);
  const all = await client.search.exportResults('role:end-user', 'user');
  assert.ok(all.length > 100, `${all.length} exported`);
});

step('exports', async () => {
  const tickets = await client.tickets.incremental(946_684_800);
  assert.ok(tickets.length > 200, `${tickets.length} tickets`);
  const organizations = await client.organizations.incremental(946_684_800);
  assert.ok(organizations.length > 5);
});

step('a webhook is made, read, changed and deleted', async () => {
  const webhook = await got(() => client.webhooks.create({webhook: {name: 'node', endpoint: 'https://example.com/hook', http_method: 'POST',
    request_format: 'json', status: 'active', subscriptions: ['zen:event-type:user.created']}}));
  assert.match(webhook.id, /^[0-9A-Z]{26}$/);
  const secret = await got(() => client.webhooks.getSigningSecret(webhook.id));
  assert.equal(secret.signing_secret.algorithm, 'SHA256');
  await client.webhooks.patch(webhook.id, {webhook: {status: 'inactive'}});
  assert.equal((await got(() => client.webhooks.show(webhook.id))).status, 'inactive');
  await client.webhooks.delete(webhook.id);
  await assert.rejects(client.webhooks.show(webhook.id), /404/);
});

step('wrong credentials', async () => {
  const stranger = createClient({subdomain, username, token: 'wrong', logger: quiet});
  await assert.rejects(stranger.users.list(), /401/);
});

(async () => {
  for (const {name, run} of steps) {
    try {
      await run();
    } catch (error) {
      error.message = `${name}: ${error.message}`;
      throw error;
    }
  }

  console.log(`node-zendesk: ${steps.length} journeys: ${steps.map(({name}) => name).join('; ')}`);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
