/** Where the image's program begins. The image brings its Node, so none is checked first, as bin/lockwarden.js does. */
import { main } from '../../src/main.ts';

process.exitCode = await main(process.argv.slice(2));
