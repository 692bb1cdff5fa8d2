// The glue between the Go side and jsonata.min.js: it returns the two functions
// that Go calls. Values cross as JSON, because JSONata tells sequences from
// arrays and undefined from null by properties only real JavaScript values have.
(function (jsonata, host) {
  'use strict';
  var compiled = new Map();

  // The library takes Base64 from the browser or from Node.js.
  globalThis.window = { btoa: host.btoa, atob: host.atob };

  function unsupported() {
    throw { code: 'AWS', message: '$eval is not supported by Step Functions: use $parse' };
  }

  function partition(items, size) {
    if (items === undefined || size === undefined) return undefined;
    size = Math.floor(size);
    if (!(size > 0)) throw { code: 'AWS', message: '$partition needs a chunk size greater than 0' };
    var chunks = [];
    for (var i = 0; i < items.length; i += size) chunks.push(items.slice(i, i + size));
    return chunks;
  }

  function range(first, last, step) {
    if (first === undefined || last === undefined) return undefined;
    first = Math.floor(first);
    last = Math.floor(last);
    step = step === undefined ? 1 : Math.floor(step);
    if (step === 0) return [];
    if (Math.floor((last - first) / step) + 1 > 1000) {
      throw { code: 'AWS', message: '$range makes at most 1000 elements' };
    }
    var values = [];
    for (var v = first; step > 0 ? v <= last : v >= last; v += step) values.push(v);
    return values;
  }

  function hash(data, algorithm) {
    if (data === undefined || algorithm === undefined) return undefined;
    return host.hash(typeof data === 'string' ? data : JSON.stringify(data), algorithm);
  }

  function parse(text) {
    return text === undefined ? undefined : JSON.parse(text);
  }

  function random(seed) {
    return seed === undefined ? Math.random() : host.random(Math.floor(seed));
  }

  function compile(source) {
    var expr = compiled.get(source);
    if (expr === undefined) {
      expr = jsonata(source);
      expr.registerFunction('eval', unsupported);
      expr.registerFunction('partition', partition, '<an:a<a>>');
      expr.registerFunction('range', range, '<nnn?:a<n>>');
      expr.registerFunction('hash', hash);
      expr.registerFunction('parse', parse, '<s:x>');
      expr.registerFunction('random', random, '<n?:n>');
      expr.registerFunction('uuid', function () { return host.uuid(); }, '<:s>');
      if (compiled.size >= 512) compiled.clear();
      compiled.set(source, expr);
    }
    return expr;
  }

  function noFunctions(key, value) {
    if (typeof value === 'function' || (value && (value._jsonata_lambda || value._jsonata_function))) {
      throw { code: 'AWS', message: 'the expression returned a function, which JSON cannot represent' };
    }
    return value;
  }

  function astValue(key, value) {
    if (value instanceof RegExp) return String(value);
    return key === 'signature' ? undefined : value;
  }

  return {
    ast: function (source) {
      return JSON.stringify(jsonata(source).ast(), astValue);
    },
    evaluate: function (source, bindings, done, fail) {
      compile(source).evaluate(undefined, JSON.parse(bindings)).then(function (value) {
        done(JSON.stringify(value, noFunctions));
      }).catch(fail);
    },
  };
})
