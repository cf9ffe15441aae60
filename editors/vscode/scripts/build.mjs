// Bundles the extension and the panel's script into dist/, with the licences of what is in them; with --tests, the
// unit tests instead.
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const common = { bundle: true, logLevel: "warning", target: "es2022" };
const node = { ...common, platform: "node", format: "cjs", external: ["vscode"] };

if (process.argv.includes("--tests")) {
  rmSync("dist/test", { recursive: true, force: true });
  const tests = readdirSync("test").map((name) => `test/${name}`);
  await build({ ...node, entryPoints: tests, outdir: "dist/test", outExtension: { ".js": ".cjs" } });
} else {
  const options = { ...node, entryPoints: ["src/extension.ts"], outfile: "dist/extension.js", minify: true, metafile: true };
  const { metafile } = await build(options);
  await build({ ...common, entryPoints: ["src/webview.ts"], outfile: "dist/webview.js", minify: true });
  writeFileSync("dist/THIRD-PARTY.txt", licences(Object.keys(metafile.inputs)));
}

/** The licence of each package that these files come from. */
function licences(files) {
  const folders = new Set(files.map((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]).filter(Boolean));
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
    const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
    if (file === undefined) {
      throw new Error(`${folder} has no licence file`);
    }
    return `${name} ${version} (${license})\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}\n`;
  });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}
