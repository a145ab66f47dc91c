// Stands in for a widget in development: every form that posts gets a token of the fake provider, and a new one after
// it was sent. data-outcome: what the tokens shall come to; data-field: their field.
(() => {
  const script = document.currentScript;
  const field = script.dataset.field || "TOKEN_FIELD";
  const source = new URL("token", script.src);
  if (script.dataset.outcome) source.searchParams.set("outcome", script.dataset.outcome);

  async function fill(form) {
    const token = await (await fetch(source)).text();
    let input = form.elements[field];
    if (!input) {
      input = Object.assign(document.createElement("input"), { type: "hidden", name: field });
      form.append(input);
    }
    input.value = token;
  }

  addEventListener("DOMContentLoaded", () => document.querySelectorAll("form[method=post i]").forEach(fill));
  addEventListener("submit", (event) => setTimeout(fill, 0, event.target));
})();
