// Viewer of one episode: a slider moves the frame, the cursors of all charts, and their values.
document.querySelectorAll(".rollout").forEach((root) => {
  const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const slider = root.querySelector("input");
  const button = root.querySelector("button");
  const picture = root.querySelector("img");
  const time = root.querySelector("output");
  const rows = [...root.querySelectorAll("tr[data-row]")];
  const last = data.time.length - 1;
  let timer = null;
  const spell = (value) => (value === null ? "–" : Number(value.toPrecision(4)).toString());
  const show = () => {
    const k = Number(slider.value);
    time.textContent = `step ${data.step[k]}, ${data.time[k].toFixed(2)} s`;
    if (picture) picture.src = data.frames[data.frame[k]];
    for (const row of rows) {
      const width = row.querySelector("svg").viewBox.baseVal.width;
      const x = 1 + ((width - 2) * k) / Math.max(last, 1); // as `thumbnail_path`
      row.querySelector(".cursor").setAttribute("transform", `translate(${x} 0)`);
      row.querySelector(".value").textContent = spell(data.values[Number(row.dataset.row)][k]);
    }
  };
  const pause = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  button.addEventListener("click", () => {
    if (timer !== null) return pause();
    if (Number(slider.value) >= last) slider.value = 0;
    button.textContent = "Pause";
    timer = setInterval(() => {
      if (Number(slider.value) >= last) return pause();
      slider.value = Number(slider.value) + 1;
      show();
    }, data.interval);
  });
  slider.addEventListener("input", () => {
    pause();
    show();
  });
  show();
});
