// Placeholder.
const trust = document.getElementById("trust");
const answer = await fetch("/status");
const status = answer.ok ? await answer.json() : null;
trust.textContent = status === null ? `no status: ${answer.status}` : `netmap ${status.netmap.state}`;
