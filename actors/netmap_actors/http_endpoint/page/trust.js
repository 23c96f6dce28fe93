export function mount() {
  return {answered() {}, unanswered() {}, stream() {}};
}
