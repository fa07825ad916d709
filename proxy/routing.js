// Which instance a request goes to. Runs inside nginx: njs 0.7.9 and later, where there is no BigInt.
//
// A user's home is `user_id % N + 1`. The user is `member.user.id` in a guild and `user.id` in a direct message.
// app/balancing/assignment.py says the same in Python; the acceptance tests hold the two against each other.
// nginx evaluates this module anew for each request, so its top level holds nothing but functions.

// One regular expression settles what Discord sends from a guild, at a third of the cost of JSON.parse. It reads the
// body from `"member":{` to its very end as JSON, token by token: the member, then only pairs, then the last brace.
// Why nothing a user writes can mislead it, as long as the body is JSON at all (the instance refuses what is not):
// - A quote after `,` or `{` that is followed by a bare word opens a string: inside a string it would be escaped, and
//   at a string's end no word could follow. So the walk starts in step with the JSON and stays in step.
// - Only one brace is open when the text ends, so this `member` stands at the top level, whatever came before it.
// - No later `member`, `user` or `id` follows at the same level (the last of repeated keys counts).
// What does not match (spaces, escapes inside keys, deeper nesting, another order) is left to JSON.parse.
// No two ways of matching the same text exist, so a hostile body costs linear time. Only plain JavaScript syntax:
// newer njs refuses possessive quantifiers. tests/unit/test_routing_script.py spells out the parts and their soundness.
function guildUserId(text) {
    const found = /(?<=[,{]")member":\{(?:"[^"\\]*":(?:"[^"\\]*(?:\\.[^"\\]*)*"|[^"{}[\],\s]+|[{[][^"{}[\]]*(?:(?:"[^"\\]*"|[{[][^"{}[\]]*(?:"[^"\\]*"[^"{}[\]]*)*[}\]])[^"{}[\]]*)*[}\]]),)*"user":\{(?:"[^"\\]*":(?:"[^"\\]*(?:\\.[^"\\]*)*"|[^"{}[\],\s]+|[{[][^"{}[\]]*(?:(?:"[^"\\]*"|[{[][^"{}[\]]*(?:"[^"\\]*"[^"{}[\]]*)*[}\]])[^"{}[\]]*)*[}\]]),)*"id":"([0-9]{1,20})"(?:,"(?!id")[^"\\]*":(?:"[^"\\]*(?:\\.[^"\\]*)*"|[^"{}[\],\s]+|[{[][^"{}[\]]*(?:(?:"[^"\\]*"|[{[][^"{}[\]]*(?:"[^"\\]*"[^"{}[\]]*)*[}\]])[^"{}[\]]*)*[}\]]))*\}(?:,"(?!user")[^"\\]*":(?:"[^"\\]*(?:\\.[^"\\]*)*"|[^"{}[\],\s]+|[{[][^"{}[\]]*(?:(?:"[^"\\]*"|[{[][^"{}[\]]*(?:"[^"\\]*"[^"{}[\]]*)*[}\]])[^"{}[\]]*)*[}\]]))*\}(?:,"(?!member")[^"\\]*":(?:"[^"\\]*(?:\\.[^"\\]*)*"|[^"{}[\],\s]+|[{[][^"{}[\]]*(?:(?:"[^"\\]*"|[{[][^"{}[\]]*(?:"[^"\\]*"[^"{}[\]]*)*[}\]])[^"{}[\]]*)*[}\]]))*\}\s*$/.exec(text);
    return found ? found[1] : '';
}

// Discord's bodies are a few kilobytes; beyond this only somebody else's are, and the matcher's memory has its limits.
function isOrdinary(text) {
    return text.length <= 65536;
}

function parsedUserId(text) {
    try {
        const interaction = JSON.parse(text);
        return digits(own(own(interaction, 'member'), 'user')) || digits(own(interaction, 'user'));
    } catch (e) {
        return '';
    }
}

function digits(user) {
    const id = own(user, 'id');
    return typeof id === 'string' && /^[0-9]{1,20}$/.test(id) ? id : '';
}

function own(holder, name) {
    const isObject = typeof holder === 'object' && holder !== null;
    return isObject && Object.prototype.hasOwnProperty.call(holder, name) ? holder[name] : undefined;
}

// The home, 1..count. An id may exceed 2^53, so its last ten digits and the up to ten before them are divided one after
// the other, each of them exact.
function homeOf(id, count) {
    const cut = id.length - 10;
    const high = cut > 0 ? +id.substring(0, cut) % count : 0;
    return (high * 1e10 + +id.substring(cut)) % count + 1;
}

// js_content of POST /interactions. A named location keeps the method, the body's bytes and the headers as they came.
// A body without a readable user id (Discord's probes, hostile ones) goes to any instance, which judges it.
function interactions(r) {
    const text = r.requestText || '';
    const id = (isOrdinary(text) && guildUserId(text)) || parsedUserId(text);
    r.internalRedirect(id ? '@home_' + homeOf(id, +r.variables.instance_count) : '@any');
}

// js_content of the operator's pages: an event stream is passed on unbuffered and may stay silent for longer.
function operations(r) {
    const accept = r.headersIn.Accept || '';
    r.internalRedirect(accept.indexOf('text/event-stream') >= 0 ? '@ops_stream' : '@ops');
}

export default {interactions, operations};
