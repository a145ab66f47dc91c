// Stands in for Caputchin's own bundle, which is in no package registry: it does what caputchin.md 5 and 6 say of it,
// with Cap's published widget inside. The test puts cap.min.js between the two parts, as a bundler would.

(() => {
  const beside = name => new URL(`./${name}`, document.currentScript.src).href
  window.CAP_CUSTOM_WASM_URL ??= beside("cap_wasm_bg.wasm")
  window.CAP_PAKO_URL ??= beside("pako_inflate.min.js")
})();

/* cap.min.js */

(() => {
  const BUILT_FOR = "https://verify.caputchin.com"
  const elements = new Map()

  const post = (url, init, body) =>
    window.fetch(url, { ...init, method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })

  // Cap asks at a marker that names the element; each call goes to the host of the build, whatever api-host says.
  window.CAP_CUSTOM_FETCH = async (url, init) => {
    const [, id, act] = String(url).match(/\/__cpt\/([^/]+)\/(challenge|redeem)$/)
    const element = elements.get(id)
    const body = init?.body ? JSON.parse(init.body) : {}
    if (act == "challenge") {
      const platform = { sitekey: element.getAttribute("sitekey"), gameId: null }
      const answer = await post("https://verify.caputchin.com/v1/verify/start", init, { ...body, platform })
      if (answer.ok) element.sessionId = (await answer.clone().json()).platform?.sessionId
      return answer
    }
    const platform = element.sessionId ? { sessionId: element.sessionId } : {}
    const answer = await post(`${"https://verify.caputchin.com"}/v1/verify/pass`, init, { ...body, platform })
    if (answer.ok) element.wrappedToken = (await answer.clone().json()).platform?.wrappedToken
    return answer
  }

  class CaputchinWidget extends HTMLElement {
    async connectedCallback() {
      this.number = String(elements.size + 1)
      elements.set(this.number, this)
      if (!this.getAttribute("sitekey")) return this.tell("error", { code: "invalid-config", severity: "warn" })
      await this.bootstrap()
      const trigger = this.getAttribute("trigger") ?? "auto"
      const invisible = this.hasAttribute("invisible")
      if (!invisible) this.paint()
      if (trigger == "form-submit") this.holdTheForm()
      else if (trigger == "auto" && invisible) this.start()
      this.ready = true // for the tests alone: before that a form is sent as if there were no widget
    }

    tell(name, detail) {
      this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }))
    }

    async bootstrap() {
      const host = this.getAttribute("api-host") || BUILT_FOR
      const query = new URLSearchParams({ sitekey: this.getAttribute("sitekey"), locale: navigator.language, skin: "light" })
      try {
        const answer = await fetch(`${host}/v1/widget/bootstrap?${query}`, { signal: AbortSignal.timeout(2000) })
        if (!answer.ok) return this.tell("degraded", { reason: "http" })
        const told = await answer.json()
        if (told === null || typeof told != "object" || (told.widget ?? null) !== null && typeof told.widget != "object")
          this.tell("degraded", { reason: "malformed" })
      } catch (failure) {
        this.tell("degraded", { reason: failure.name == "TimeoutError" ? "timeout" : "network" })
      }
    }

    paint() {
      const root = this.attachShadow({ mode: "open" })
      root.innerHTML = `<svg role="checkbox" aria-checked="false" tabindex="0" width="24" height="24" style="cursor: pointer">
        <rect width="24" height="24" fill="#ddd"/></svg>`
      root.firstElementChild.addEventListener("click", () => this.start())
    }

    holdTheForm() {
      const form = this.closest("form")
      form.addEventListener("submit", async event => {
        if (this.settled) return
        event.preventDefault()
        event.stopImmediatePropagation()
        if (this.held) return
        this.held = true
        await this.start()
        form.requestSubmit()
      }, true)
    }

    start() {
      return this.running ??= this.verify().finally(() => { this.settled = true })
    }

    async verify() {
      this.tell("start", { gameId: null })
      const failed = (originalCode, failure) =>
        this.tell("error", { code: "verification-failed", message: String(failure), severity: "error", originalCode })
      try {
        const cap = new window.Cap({ apiEndpoint: `${BUILT_FOR}/__cpt/${this.number}/` })
        const solved = await cap.solve()
        if (!solved?.success) throw new Error("Cap solve failed")
      } catch (failure) {
        return failed("cap-solve-failed", failure)
      }
      if (!this.wrappedToken) return failed("cap-redeem-failed", "no wrapped token")
      const form = this.closest("form")
      if (form) {
        let field = form.querySelector("input[name=caputchin-token]")
        if (!field) form.append(field = Object.assign(document.createElement("input"), { type: "hidden", name: "caputchin-token" }))
        field.value = this.wrappedToken
      }
      this.tell("pass", { token: this.wrappedToken, score: null, durationMs: null })
    }
  }

  customElements.define("caputchin-widget", CaputchinWidget)
})();
