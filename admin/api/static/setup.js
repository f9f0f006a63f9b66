// The one-time setup page: sends the form as JSON and says what became of it.
const form = document.querySelector("form");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = new URLSearchParams(location.search).get("token") || "";
  const fields = Object.fromEntries(new FormData(form));
  const answer = await fetch("/v1/setup", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, ...fields }),
  });
  const body = await answer.json();
  const faults = (body.errors || []).map((fault) => `${fault.pointer}: ${fault.message}`);
  document.querySelector("output").textContent = answer.ok
    ? `Welcome, ${body.name}. The API is described at /docs.`
    : [body.detail, ...faults].join("\n");
});
