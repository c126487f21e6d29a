// The board in the office window: which berth is free, and when the next boat is expected.

const QUAYS = ["Stone Quay", "Herring Quay", "Visitors' pontoons"];

/** Sort arrivals by time and give each the first berth that is long and deep enough. */
export function assignBerths(arrivals, berths) {
  const free = [...berths].sort((a, b) => a.length - b.length);
  return [...arrivals]
    .sort((a, b) => a.expected - b.expected)
    .map((boat) => {
      const index = free.findIndex((berth) => berth.length >= boat.length + 2 && berth.depth > boat.draught);
      // A boat that fits nowhere waits at anchor in Tarn Roads; the board then says so.
      return { boat: boat.name, berth: index < 0 ? "Tarn Roads" : free.splice(index, 1)[0].name };
    });
}

export function render(board, element) {
  element.replaceChildren(
    ...board.map(({ boat, berth }) => {
      const row = document.createElement("li");
      row.textContent = `${boat}: ${berth}`;
      row.className = QUAYS.includes(berth) ? "quay" : "anchor";
      return row;
    }),
  );
}
