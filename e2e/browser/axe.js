// What axe-core finds wrong with a page for people who see, hear or move differently.

import { createRequire } from 'node:module';

const { source } = createRequire(import.meta.url)('axe-core');

/** The rules to keep: WCAG 2.2 A and AA, and what axe holds for good practice. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** But for these: a phone shows either the list or a conversation, so one of them is not there, nor is its landmark or heading. */
const EXCEPT = ['landmark-one-main', 'page-has-heading-one'];

/** What is wrong with a page or a frame as it stands, a line for each element. */
export async function violations(page) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(source);
  return page.evaluate(async ([rules, except]) => {
    const options = { restoreScroll: true, runOnly: rules, rules: Object.fromEntries(except.map((id) => [id, { enabled: false }])), resultTypes: ['violations'] };
    const { violations } = await axe.run(document, options);
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html, any }) => `${id}: ${html} ${any[0]?.message ?? ''}`));
  }, [RULES, EXCEPT]);
}
