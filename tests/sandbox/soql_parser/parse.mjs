// Which of some SOQL texts an independent parser takes: node parse.mjs, a JSON list of texts on standard input.
// It prints a JSON list: for each text the number of literals of its first IN list (null for none), or what is wrong.
import { readFileSync } from "node:fs";
import { parseQuery } from "@jetstreamapp/soql-parser-js";

function listed(clause) {
  if (!clause) return null;
  const value = clause.left?.value;
  if (clause.left?.operator === "IN" && Array.isArray(value)) return value.length;
  return listed(clause.right);
}

const answers = JSON.parse(readFileSync(0, "utf8")).map((text) => {
  try {
    return { listed: listed(parseQuery(text).where) };
  } catch (error) {
    return { wrong: String(error.message) };
  }
});
console.log(JSON.stringify(answers));
