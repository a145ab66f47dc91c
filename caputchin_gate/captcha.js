(() => {
// n with SHA-256(token + n) <= target, 32 bits
async function search(token, target, until, ms, pause) {
	const [A, E, k, w] = [1, 1, 1, 1].map(() => new Int32Array(68)), bytes = new Uint8Array(w.buffer)
	const ror = (x, n) => x >>> n | x << 32 - n
	const hash = (text, at) => { // one block; big-endian: ^ 3
		for (const char of text) bytes[at++ ^ 3] = char.charCodeAt()
		bytes[at ^ 3] = 128
		w[15] = at * 8
		for (let i = 0, a = A[3], e = E[3], t, x, y; i < 64; i++) {
			if (i > 15) x = w[i - 15], y = w[i - 2], w[i] = w[i - 16] + w[i - 7] +
				(ror(x, 7) ^ ror(x, 18) ^ x >>> 3) + (ror(y, 17) ^ ror(y, 19) ^ y >>> 10)
			t = k[i] + w[i] + E[i] + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + (E[i + 1] ^ e & (E[i + 2] ^ E[i + 1]))
			E[i + 4] = e = A[i] + t | 0
			A[i + 4] = a = t + (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + (a & A[i + 2] | A[i + 1] & (a | A[i + 2])) | 0
		}
		return A[67] + A[3] >>> 0
	}
	for (let p = 2, i = 0, d; i < 64; p++) {
		for (d = 2; p % d;) d++
		if (d != p) continue
		if (i < 8) (i < 4 ? A : E)[3 - i % 4] = p ** .5 * 2 ** 32
		k[i++] = Math.cbrt(p) * 2 ** 32
	}
	hash(token, 0)
	for (let n = 0, end = 0; Date.now() < until; await pause(), end = Date.now() + ms)
		do if (hash("" + n, token.length) <= target) return n
		while (++n % 500 || Date.now() < end)
	throw 0
}
const serve = () => search(...JSON.parse(name), 1e3, () => postMessage(-1)).then(postMessage)
if (!self.document) return serve() // a worker
if (Object.hasOwn(self, "caputchin")) return

const texts = {
en: "Protection standby|Preparing protection…|Verifying form protection…|Protection active|Verification unavailable|Please try again in # seconds",
de: "Schutz in Bereitschaft|Schutz wird vorbereitet…|Formular wird geprüft…|Schutz aktiv|Prüfung nicht verfügbar|Bitte in # Sekunden erneut versuchen",
fr: "Protection en veille|Préparation de la protection…|Vérification du formulaire…|Protection active|Vérification indisponible|Réessayez dans # secondes",
es: "Protección en espera|Preparando la protección…|Verificando el formulario…|Protección activa|Verificación no disponible|Vuelva a intentarlo en # segundos",
it: "Protezione in attesa|Preparazione della protezione…|Verifica del modulo…|Protezione attiva|Verifica non disponibile|Riprova tra # secondi",
nl: "Beveiliging stand-by|Beveiliging voorbereiden…|Formulier controleren…|Beveiliging actief|Controle niet beschikbaar|Probeer het over # seconden opnieuw",
pl: "Ochrona w gotowości|Przygotowywanie ochrony…|Sprawdzanie formularza…|Ochrona aktywna|Weryfikacja niedostępna|Spróbuj ponownie za # s",
pt: "Proteção em espera|Preparando a proteção…|Verificando o formulário…|Proteção ativa|Verificação indisponível|Tente novamente em # segundos"
}
const colors = {waiting: 0, idle: 0, solving: 0, ready: "green", error: "crimson", rate_limited: "sienna"}
// Elements' names hide members
const real = (node, {prototype} = HTMLFormElement) => new Proxy(node, {
	get: (_, name, __, own = Reflect.get(prototype, name, node)) => typeof own == "function" ? own.bind(node) : own
})
const page = real(document, Document), script = page.currentScript

// A CSP may forbid both
const workers = [script.src, URL.createObjectURL(new Blob([search, `(${serve})()`]))]
const solve = job => workers[0] ? new Promise((done, fail) => {
	const worker = new Worker(workers[0], {name: JSON.stringify(job)})
	worker.onmessage = worker.onerror = ({data}) => {
		clearTimeout(worker.timer)
		if (data < 0) return worker.timer = setTimeout(worker.onerror, 5e3, {})
		worker.terminate()
		data >= 0 ? done(data) : fail()
	}
	worker.onerror({data: -1})
}).catch(() => (workers.shift(), solve(job))) : search(...job, 10, () => new Promise(done => setTimeout(done)))

const guard = bare => {
	const form = real(bare)
	let state, sent, busy, run, held // held: not handed out
	const data = (name, or) => form.dataset[name] || script.dataset[name] || or
	const field = data("field", "caputchin-token")
	const tell = (type, detail) => form.dispatchEvent(new CustomEvent("caputchin:" + type, {bubbles: 1, detail}))
	const show = (next, left) => {
		const labels = texts[data("locale", page.documentElement.lang).slice(0, 2)] || texts.en
		for (const node of form.querySelectorAll("[data-captcha-status]")) {
			node.role = "status"
			node.ariaLive = next == state ? "off" : "polite"
			node.dataset.captchaState = next
			node.textContent = labels.split("|")[Object.keys(colors).indexOf(next)].replace("#", left)
			node.dataset.captchaNoColor ?? (node.style.color = `color-mix(in srgb,currentColor 60%,${colors[next] || "dimgray"})`)
		}
		next == state || tell("state", {state: state = next, retryAfter: left})
	}
	const start = () => {
		const mine = run = held = {until: 1 / 0}, began = Date.now()
		const say = (...news) => run == mine && form.isConnected && !show(...news)
		const count = left => left ? say("rate_limited", left) && setTimeout(count, 1e3, left - 1) : run == mine && start()
		say("idle")
		mine.promise = (async () => {
			const reply = await fetch(new URL("api/v1/captcha/challenge", script.src), {
				method: "POST",
				body: new Blob([JSON.stringify({site_key: data("siteKey"), action: data("action")})], {type: "application/json"}),
				signal: AbortSignal.timeout(15e3)
			})
			const {token, target, expires_at, retry_after} = await reply.json()
			if (reply.status == 429) throw Math.ceil(retry_after) || 60
			if (!(reply.ok && /^[\w-]{16,43}$/.test(token) && target >= 0)) throw 0
			say("solving")
			const life = Math.max(0, expires_at * 1e3 - Date.parse(reply.headers.get("Date"))) || 12e4
			mine.token = token + "." + await solve([token, target, began + life])
			mine.until = began + life * .95
			say("ready")
			return mine.token
		})().catch(left => {
			left > 0 ? count(left) : mine.until = say("error")
			throw Error(state)
		})
		mine.promise.catch(() => 0)
		return mine.promise
	}
	const fresh = () => Date.now() < held?.until
	const take = (promise = fresh() ? held.promise : start()) => {
		if (state != "rate_limited") held = 0
		return promise
	}
	const give = (token, input = form.elements[field]) => {
		input || form.prepend(input = Object.assign(page.createElement("input"), {type: "hidden", name: field}))
		if (data("carry") == "cookie") document.cookie =
			`${field}=${token};path=/;max-age=120;samesite=strict${/^https/.test(location) ? ";secure" : ""}`
		return input.value = token
	}
	const me = bare[mark] = {
		begin: () => (run = held = busy = 0, data("preload") == "eager" ? start() : show("waiting")),
		reset: start,
		solve: () => take().then(give),
		hear(e, by = e.submitter, asks = data("mode") == "event") {
			if (e.type != "submit") return fresh() || busy || state == "error" || start()
			if (sent || (by?.formMethod || form.method) == "dialog") return
			if (!asks && fresh() && held.token) return give(held.token, void (held = 0))
			e.preventDefault()
			asks || e.stopImmediatePropagation() // others get it with the token
			if (busy) return
			const mine = busy = {}
			take().then(give, () => 0).then(token => {
				if (busy != mine) return
				busy = 0
				if (asks) return token && tell("solved", {token, field})
				if (!token && form.querySelector("[data-captcha-status]")) return // a refusal tells
				sent = 1
				form.requestSubmit(by?.form == bare ? by : null)
				sent = 0
			})
		}
	}
	me.begin()
	return me
}
const mark = Symbol(), get = form => form[mark] || guard(form)
const all = tag => page.querySelectorAll(tag + "[data-captcha]")
const each = act => {
	for (const {form} of all("input")) if (form) real(form).dataset.captcha = ""
	all("form").forEach(act)
}
new MutationObserver(() => each(get)).observe(document, {childList: 1, subtree: 1})
for (const type of "submit pointerdown keydown touchstart input pageshow".split(" ")) addEventListener(type, e => {
	e.persisted && each(form => get(form).begin())
	const form = [...e.composedPath(), e.target.form].find(node => node instanceof HTMLFormElement)
	if (form && real(form).matches("[data-captcha]")) get(form).hear(e)
}, true)
self.caputchin = {solve: form => get(form).solve(), reset: form => get(form).reset()}
each(get)
})()
