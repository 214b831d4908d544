// Which version of the product this process is, for services that say so to others.
import { readBuildFacts } from '#libs/system/process-facts.ts';

/** Of package.json. */
export const productVersion = (): string => readBuildFacts().version;
