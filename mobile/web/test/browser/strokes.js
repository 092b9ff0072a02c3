/** Digits as strokes on a field of 280 by 280, and drawing them with the mouse. */

export const DIGITS = [
  [[[140, 50], [100, 60], [80, 100], [75, 140], [80, 180], [105, 220], [140, 230], [175, 220],
    [200, 180], [205, 140], [200, 100], [180, 60], [140, 50]]],
  [[[140, 45], [140, 235]]],
  [[[85, 95], [100, 65], [140, 50], [180, 65], [190, 100], [170, 140], [130, 180], [80, 225],
    [200, 225]]],
  [[[85, 65], [130, 50], [180, 65], [185, 100], [160, 130], [125, 138], [165, 145], [195, 180],
    [180, 215], [135, 232], [85, 215]]],
  [[[110, 50], [80, 150], [200, 150]], [[175, 60], [165, 235]]],
  [[[190, 55], [100, 55], [92, 125], [140, 115], [185, 140], [190, 185], [160, 225], [110, 228],
    [80, 210]]],
  [[[165, 50], [115, 90], [88, 150], [90, 200], [130, 232], [175, 215], [185, 175], [155, 150],
    [115, 160], [92, 190]]],
  [[[80, 60], [195, 60], [160, 130], [125, 235]]],
  [[[140, 135], [95, 105], [100, 65], [140, 50], [180, 65], [185, 105], [140, 135], [90, 175],
    [95, 215], [140, 232], [185, 215], [190, 175], [140, 135]]],
  [[[185, 90], [150, 55], [105, 65], [95, 105], [125, 135], [165, 125], [185, 90], [180, 150],
    [165, 235]]],
];

/** Draws a digit and returns what the first card says. */
export const draw = (page, digit) => drawStrokes(page, DIGITS[digit]);

/** Draws a digit with rounded corners. */
export const drawSmooth = (page, digit) => drawStrokes(page, DIGITS[digit].map(rounded));

/** Cuts the corners of a line (Chaikin, 1974); its ends stay. */
function rounded(points) {
  let line = points;
  for (let i = 0; i < 3; i++) {
    const cut = line.slice(1).flatMap(([x, y], k) => [0.25, 0.75].map((part) =>
      [line[k][0] + part * (x - line[k][0]), line[k][1] + part * (y - line[k][1])]));
    line = [line[0], ...cut, line.at(-1)];
  }
  return line;
}

/** Draws lines and returns what the first card says. */
export async function drawStrokes(page, strokes) {
  await page.click("#clear");
  await page.waitForFunction(() => !document.querySelector(".answer .label").textContent);
  await page.locator("#pad").scrollIntoViewIfNeeded();
  const box = await page.locator("#pad").boundingBox();
  const place = ([x, y]) => [box.x + (x * box.width) / 280, box.y + (y * box.height) / 280];
  for (const [first, ...rest] of strokes) {
    await page.mouse.move(...place(first));
    await page.mouse.down();
    for (const point of rest) await page.mouse.move(...place(point), { steps: 2 });
    await page.mouse.up();
  }
  await page.evaluate(() =>
    new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  return page.textContent(".answer .label");
}
