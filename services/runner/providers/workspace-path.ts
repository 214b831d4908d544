// A path as a program says it, as the reports have it: relative where it is inside the workspace. Pure.
import { isAbsolute, relative } from 'node:path';

export const workspacePath = (workspace: string, path: string): string => {
  if (!isAbsolute(path)) return path;
  const inside = relative(workspace, path);
  return inside === '' || inside.startsWith('..') ? path : inside;
};
