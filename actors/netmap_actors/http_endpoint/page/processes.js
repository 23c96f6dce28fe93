/** @param {HTMLElement} element @param {Object} page {store, history, words, select} */
export function mount(element, page) {}
