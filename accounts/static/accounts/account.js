// Hands the token behind the # and the form's fields to the API and says what it answered.
"use strict";

const said = document.getElementById("said");

async function post(address, body, token) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
  const data = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) {
    const reasons = (data.errors || []).map((error) => error.detail);
    throw new Error(reasons.join(" ") || data.detail || "Something went wrong. Please try again.");
  }
  return data;
}

async function submit(form, work) {
  const button = form.querySelector("button");
  button.disabled = true;
  said.textContent = "";
  try {
    await work(Object.fromEntries(new FormData(form)));
  } catch (error) {
    said.textContent = error.message;
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form[data-post]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(form, async (fields) => {
      await post(form.dataset.post, { token: location.hash.slice(1), ...fields });
      history.replaceState(null, "", location.pathname);
      form.hidden = true;
      said.textContent = form.dataset.done;
    });
  });
}
